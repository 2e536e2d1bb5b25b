//! The main help page, and the parsing of the arguments.

use clap::{CommandFactory, FromArgMatches};

use super::Cli;

/// The commands of the main help page.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Start", &["init", "demo", "check"]),
    ("Run", &["run", "export", "score", "plan"]),
    ("Inspect", &["why", "report", "diff", "peek", "explain", "inspect", "runs"]),
    ("Tools", &["lint", "simulate", "schema", "completions", "man", "help"]),
];

const AFTER_HELP: &str = "\
Examples:
  custseg init orders.csv                       write orders.yaml for your own file
  custseg run orders.yaml --as-of 2024-07-01    publish the segments of that day
  custseg why orders.yaml 12347                 explain the segment of a customer

Exit codes: 0 done; 1 a gate failed; 2 usage or YAML; 3 the data break an expectation; 4 input,
output, lock or engine failed; 99 nothing new, with `run --only-new --skip-code`; 130 and 143
interrupted by SIGINT or SIGTERM.";

/// Parses the arguments of this process.
pub(crate) fn parse() -> clap::error::Result<Cli> {
    Cli::from_arg_matches(&command().try_get_matches()?)
}

/// Whether the arguments ask for a JSON log, even if they cannot be parsed.
pub(crate) fn asks_for_json_log() -> bool {
    let arguments: Vec<String> = std::env::args().collect();
    let by_variable = std::env::var("CUSTSEG_LOG_FORMAT").is_ok_and(|format| format == "json");
    let is_asked = |pair: &[String]| pair[0] == "--log-format" && pair[1] == "json";
    by_variable
        || arguments.iter().any(|argument| argument == "--log-format=json")
        || arguments.windows(2).any(is_asked)
}

/// The command line, with its commands in groups.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command().after_help(AFTER_HELP);
    let mut commands = String::new();
    for (heading, names) in GROUPS {
        commands += &format!("{heading}:\n");
        for name in names {
            let about = command.find_subcommand(name).and_then(|command| command.get_about());
            let about = about.map_or("Show the help of a command".to_owned(), |a| a.to_string());
            commands += &format!("  {name:12} {about}\n");
        }
        commands += "\n";
    }
    let template = "{about-with-newline}\n{usage-heading} {usage}\n\n";
    command.help_template(format!("{template}{commands}Options:\n{{options}}{{after-help}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn main_help_has_each_command_once_on_one_line() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        grouped.sort_unstable();
        let mut command = command();
        command.build();
        let mut names: Vec<&str> = command.get_subcommands().map(|c| c.get_name()).collect();
        names.sort_unstable();
        assert_eq!(grouped, names);
        let help = command.clone().render_long_help().to_string();
        let commands = help.split("Options:").next().unwrap();
        let mut lines = commands.lines().filter(|line| line.starts_with("  "));
        assert!(lines.all(|line| line.chars().count() <= 80), "{commands}");
        command.debug_assert();
    }
}
