//! Ends that nobody wished for: killed, stopped, out of disk, without permission, two at once. Readers see one whole run all the
//! while, and the next run succeeds.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use custseg::publish::Published;

use super::harness::Shop;

/// A shop of so many lines that its run takes a while, with a model, so that many files are written.
fn busy(lines: usize) -> Shop {
    let mut csv = fs::read_to_string(super::harness::fixtures().join("shop.csv"))
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned();
    for i in 0..lines {
        let (day, customer) = (1 + i * 7 % 28, 1000 + i * i % 397);
        let month = 1 + i % 2;
        write!(
            csv,
            "\nO{},P{},{},2024-{month:02}-{day:02} 10:{:02},{}.50,{customer},UK",
            i / 3,
            i % 50,
            1 + i % 9,
            i % 60,
            1 + i % 40
        )
        .unwrap();
    }
    Shop::of(csv + "\n")
        .edit("publish: { to: out }", "publish: { to: out }\nmodels: { near: { k: 3 } }")
}

/// Starts a run under a name of its own, so that it is another run than those before.
fn start(shop: &Shop, name: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_custseg"))
        .args(["-q", "run", "shop.yaml", "--set", &format!("name={name}")])
        .current_dir(shop.folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(child: Child) -> (ExitStatus, String) {
    let output = child.wait_with_output().unwrap();
    (output.status, String::from_utf8(output.stderr).unwrap())
}

/// How long a run takes that nobody stops.
fn unhurried(shop: &Shop) -> Duration {
    let mut times: Vec<Duration> = (0..3)
        .map(|i| {
            let began = Instant::now();
            let (status, words) = finish(start(shop, &format!("unhurried_{i}")));
            assert!(status.success(), "{words}");
            began.elapsed()
        })
        .collect();
    times.sort();
    times[1]
}

/// Names of what stands among the runs.
fn names(out: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(out.join("runs")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// What a reader finds has to be one run, whole.
fn assert_whole(out: &Path) {
    let run = Published::at(out).unwrap();
    assert!(run.is_whole(), "{}", run.folder.display());
}

/// A run is killed at more than 200 points spread over all of it, the last quarter, in which it publishes, twice as densely, while a
/// reader reads on. The count is printed: `cargo test -- --nocapture killed`.
#[test]
fn killed_at_200_points_a_run_leaves_readers_a_whole_one() {
    let (killed, torn_reads, reads) =
        (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for half in 0..2 {
            let killed = &killed;
            let (torn_reads, reads) = (&torn_reads, &reads);
            scope.spawn(move || {
                let shop = busy(6000);
                let (out, takes) = (shop.path("out"), unhurried(&shop));
                let done = AtomicBool::new(false);
                thread::scope(|scope| {
                    scope.spawn(|| {
                        while !done.load(Ordering::SeqCst) {
                            let torn = !Published::at(&out).is_ok_and(|run| run.is_whole());
                            torn_reads.fetch_add(usize::from(torn), Ordering::SeqCst);
                            reads.fetch_add(1, Ordering::SeqCst);
                            thread::sleep(Duration::from_millis(5));
                        }
                    });
                    let mut point = 0;
                    let mut own = 0;
                    while own < 105 {
                        // The golden ratio spreads points evenly, however many there are.
                        let at =
                            (f64::from(point) * 0.618_033_988_75 + f64::from(half) / 210.0) % 1.0;
                        let at = if point % 3 == 0 { 0.75 + at / 4.0 } else { at };
                        let before = names(&out);
                        let mut child = start(&shop, &format!("point_{point}"));
                        thread::sleep(takes.mul_f64(at));
                        child.kill().unwrap();
                        let (status, words) = finish(child);
                        let dead = status.signal() == Some(9);
                        assert!(dead || status.success(), "{words}");
                        own += usize::from(dead);
                        assert_whole(&out);
                        let after = names(&out);
                        let lost: Vec<&String> = before
                            .iter()
                            .filter(|name| !name.starts_with('.') && !after.contains(*name))
                            .collect();
                        assert!(lost.is_empty(), "{lost:?}");
                        point += 1;
                        if point % 15 == 0 {
                            let (status, words) = finish(start(&shop, &format!("after_{point}")));
                            assert!(status.success(), "{words}");
                            assert!(
                                names(&out).iter().all(|name| !name.starts_with('.')),
                                "{:?}",
                                names(&out)
                            );
                        }
                        assert!(point < 1000, "runs end too soon to be killed");
                    }
                    killed.fetch_add(own, Ordering::SeqCst);
                    done.store(true, Ordering::SeqCst);
                });
                for name in names(&out).iter().filter(|name| !name.starts_with('.')) {
                    assert_whole(&out.join("runs").join(name));
                }
            });
        }
    });
    let (killed, torn, reads) = (killed.into_inner(), torn_reads.into_inner(), reads.into_inner());
    eprintln!("killed {killed} runs; {reads} readings beside them, {torn} torn");
    assert!(killed >= 200 && reads > 200);
    assert_eq!(torn, 0);
}

#[test]
fn a_stopped_run_cleans_up_and_says_how_it_ended() {
    let shop = busy(60_000);
    let (out, takes) = (shop.path("out"), unhurried(&shop));
    let before = names(&out);
    let mut stopped = 0;
    for (i, (signal, code)) in
        [("TERM", 143), ("INT", 130)].into_iter().cycle().take(16).enumerate()
    {
        let child = start(&shop, &format!("stopped_{i}"));
        thread::sleep(takes.mul_f64(0.1 + 0.05 * i as f64));
        Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status()
            .unwrap();
        let (status, words) = finish(child);
        assert_whole(&out);
        if status.code() == Some(code) {
            stopped += 1;
            assert!(words.starts_with(&format!("error: stopped by SIG{signal}")), "{words}");
            assert_eq!(words.lines().count(), 1, "{words}");
            assert!(names(&out).iter().all(|name| !name.starts_with('.')), "{:?}", names(&out));
        } else {
            // It came before the run could hear, or after its end.
            assert!(status.success() || status.signal().is_some(), "{status} {words}");
        }
    }
    assert!(stopped >= 8, "{stopped}");
    assert!(before.is_subset(&names(&out)));
}

#[test]
fn of_two_runs_at_once_one_wins_and_the_other_changes_nothing() {
    let shop = busy(20_000);
    finish(start(&shop, "first"));
    let mut refused = 0;
    for i in 0..8 {
        let before = names(&shop.path("out"));
        let both =
            [start(&shop, &format!("one_{i}")), start(&shop, &format!("other_{i}"))].map(finish);
        let after = names(&shop.path("out"));
        let won = both.iter().filter(|(status, _)| status.success()).count();
        for (status, words) in both.iter().filter(|(status, _)| !status.success()) {
            assert_eq!(status.code(), Some(4), "{words}");
            assert!(words.contains("another run is writing to"), "{words}");
            refused += 1;
        }
        assert!(won >= 1);
        assert_eq!(after.difference(&before).count(), won, "{after:?}");
        assert_whole(&shop.path("out"));
    }
    assert!(refused >= 4, "{refused}");
}

/// A small disk of its own for the results, which fills up at several points of a run.
#[test]
fn a_full_disk_fails_the_run_and_hurts_nobody() {
    let shop = busy(6000);
    let script = r#"
        set -e
        mkdir out
        mount -t tmpfs -o size=64m none out
        "$CUSTSEG" -q run shop.yaml --set name=good > first.json
        used=$(du -sk out | cut -f1)
        for more in 0 4 12 24 40 64 96 128; do
            mount -o remount,size=$((used + more))k none out
            code=0; "$CUSTSEG" -q run shop.yaml --set name=full_$more 2> words.txt > /dev/null || code=$?
            echo "$more $code $("$CUSTSEG" inspect out | grep -c 'whole       yes') $(ls -A out/runs | grep -c '^[.]' || true) $(tr '\n' ' ' < words.txt)"
        done
        mount -o remount,size=64m none out
        "$CUSTSEG" -q run shop.yaml --set name=again > /dev/null
        echo "again 0 $("$CUSTSEG" inspect out | grep -c 'whole       yes') $(ls -A out/runs | grep -c '^[.]' || true)"
    "#;
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .env("CUSTSEG", env!("CARGO_BIN_EXE_custseg"))
        .current_dir(shop.folder.path())
        .output();
    let Some(output) =
        output.ok().filter(|output| !String::from_utf8_lossy(&output.stderr).contains("unshare"))
    else {
        eprintln!(
            "skipped: this machine mounts no small disk for a test (unshare --map-root-user --mount)"
        );
        return;
    };
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let mut full = 0;
    for line in told.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[2], "1", "readers of {line}");
        match words[1] {
            "4" => {
                full += 1;
                assert!(
                    line.contains("error: ") && line.to_lowercase().contains("no space left"),
                    "{line}"
                );
                assert_eq!(words[3], "0", "leftovers of {line}");
            }
            code => assert_eq!(code, "0", "{line}"),
        }
    }
    assert!(full >= 4, "{told}");
    assert!(told.lines().last().unwrap().starts_with("again 0 1 0"), "{told}");
}

#[test]
fn without_permission_the_run_fails_and_later_succeeds() {
    let shop = busy(600);
    let first = finish(start(&shop, "first"));
    assert!(first.0.success(), "{}", first.1);
    let before = names(&shop.path("out"));
    // The superuser may write anywhere, unless it gives that up.
    let script = r#"
        for folder in out out/runs; do
            chmod 555 $folder
            code=0; $GIVE_UP "$CUSTSEG" -q run shop.yaml --set name=second 2>> words.txt > /dev/null || code=$?
            chmod 755 $folder
            echo $code
        done
        chmod 000 shop.csv
        code=0; $GIVE_UP "$CUSTSEG" -q run shop.yaml --set name=second 2>> words.txt > /dev/null || code=$?
        chmod 644 shop.csv
        echo $code
    "#;
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let give_up = if root { "setpriv --bounding-set=-all --inh-caps=-all" } else { "" };
    let output = Command::new("sh")
        .args(["-c", script])
        .env("CUSTSEG", env!("CARGO_BIN_EXE_custseg"))
        .env("GIVE_UP", give_up)
        .current_dir(shop.folder.path())
        .output()
        .unwrap();
    let words = fs::read_to_string(shop.path("words.txt")).unwrap();
    // The lock and the link `current` stand in the first folder; the lock is there already.
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "4\n4\n4\n", "{words}");
    assert_eq!(words.matches("Permission denied").count(), 3, "{words}");
    assert_whole(&shop.path("out"));
    assert!(before.is_subset(&names(&shop.path("out"))));
    assert!(finish(start(&shop, "second")).0.success());
}

/// A log that cannot be written once panicked: exit codes were 101, and a signal left the process there for ever with its lock.
#[test]
fn a_log_that_cannot_be_written_changes_nothing() {
    let shop = busy(60_000);
    let run = |script: &str| {
        let script = script.replace("custseg", env!("CARGO_BIN_EXE_custseg"));
        Command::new("bash").args(["-c", &script]).current_dir(shop.folder.path()).output().unwrap()
    };
    assert_eq!(run("custseg check nowhere.yaml 2> /dev/full").status.code(), Some(4));
    let whole = run("custseg run shop.yaml 2> /dev/full");
    assert_eq!(whole.status.code(), Some(0));
    assert!(String::from_utf8(whole.stdout).unwrap().starts_with("{\"run_id\""));
    let closed = run("custseg run shop.yaml 2>&-");
    assert_eq!((closed.status.code(), closed.stdout.is_empty()), (Some(0), false));
    let stopped = run(
        "custseg run shop.yaml --set name=other 2> /dev/full & sleep 0.1; kill -TERM $!; wait $!",
    );
    assert!([Some(143), Some(0)].contains(&stopped.status.code()), "{:?}", stopped.status);
}

/// Only what custseg made is its to remove.
#[test]
fn what_is_not_a_run_stays_among_the_runs() {
    let shop = Shop::fixture();
    shop.run(&[]);
    let runs = shop.path("out/runs");
    for folder in ["notes", ".hidden"] {
        fs::create_dir(runs.join(folder)).unwrap();
        fs::write(runs.join(folder).join("precious"), "").unwrap();
    }
    fs::write(runs.join(".gitkeep"), "").unwrap();
    std::os::unix::fs::symlink("nowhere", runs.join("notes/loop")).unwrap();
    shop.run(&["--set", "name=other", "--set", "publish.keep_runs=2"]);
    assert_eq!(shop.custseg(&["runs", "prune", "out", "--keep", "1"]).code, 0);
    for kept in ["notes/precious", ".hidden/precious", ".gitkeep"] {
        assert!(runs.join(kept).exists(), "{kept}");
    }
    assert_eq!(shop.custseg(&["runs", "list", "out", "--json"]).stdout.lines().count(), 1);
}

/// A link to the run that readers see may be written by hand, by its whole path: the run once passed for an old one.
#[test]
fn pruning_knows_the_run_that_readers_see_however_it_is_linked() {
    let shop = Shop::fixture();
    shop.run(&[]);
    let first = shop.path("out/current").canonicalize().unwrap();
    shop.run(&["--set", "name=newer"]);
    fs::remove_file(shop.path("out/current")).unwrap();
    std::os::unix::fs::symlink(&first, shop.path("out/current")).unwrap();
    assert_eq!(shop.custseg(&["runs", "prune", "out", "--keep", "1"]).code, 0);
    assert_whole(&shop.path("out"));
    assert_eq!(names(&shop.path("out")).len(), 1);
    // A run that has lost its manifest keeps no whole one from its place.
    fs::create_dir(shop.path("out/runs/0123456789abcdef")).unwrap();
    assert_eq!(shop.custseg(&["runs", "prune", "out", "--keep", "1"]).code, 0);
    assert_whole(&shop.path("out"));
    assert_eq!(names(&shop.path("out")).len(), 1);
}

#[test]
fn a_place_that_cannot_be_published_to_is_told_before_anything_is_read() {
    let shop = Shop::fixture();
    fs::create_dir_all(shop.path("out/current")).unwrap();
    let outcome = shop.custseg(&["run", "shop.yaml"]);
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(
        !outcome.stderr.contains("source read") && outcome.stderr.contains("current"),
        "{}",
        outcome.stderr
    );
    assert!(names(&shop.path("out")).is_empty());
    // Nor does a wrong folder become a place of results by being pruned.
    fs::create_dir(shop.path("typo")).unwrap();
    assert_eq!(shop.custseg(&["runs", "prune", "typo", "--keep", "1"]).code, 4);
    assert_eq!(fs::read_dir(shop.path("typo")).unwrap().count(), 0);
    assert_eq!(shop.custseg(&["runs", "prune", "s3://shop/out", "--keep", "1"]).code, 2);
}
