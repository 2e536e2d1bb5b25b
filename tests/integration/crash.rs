//! Runs that are killed, interrupted, out of disk, without permission or concurrent. Readers always
//! see one complete run, and the next run succeeds.

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

/// A shop with that many lines and a model, so that a run takes a while and writes many files.
fn large_shop(lines: usize) -> Shop {
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
    Shop::with_csv(csv + "\n")
        .edit("publish: { to: out }", "publish: { to: out }\nmodels: { near: { k: 3 } }")
}

/// Starts a run under another pipeline name, which gives it another run id.
fn start(shop: &Shop, name: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_custseg"))
        .args(["-q", "run", "shop.yaml", "--force", "--set", &format!("name={name}")])
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

/// Median duration of three undisturbed runs.
fn run_duration(shop: &Shop) -> Duration {
    let mut times: Vec<Duration> = (0..3)
        .map(|i| {
            let began = Instant::now();
            let (status, stderr) = finish(start(shop, &format!("undisturbed_{i}")));
            assert!(status.success(), "{stderr}");
            began.elapsed()
        })
        .collect();
    times.sort();
    times[1]
}

/// Names of the entries of `runs`.
fn run_names(out: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(out.join("runs")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The published run is complete.
fn assert_complete(out: &Path) {
    let run = Published::open(out).unwrap();
    assert!(run.is_complete(), "{}", run.folder.display());
}

/// Kills runs at more than 200 points, every third in the last quarter, in which a run publishes,
/// while a reader checks the published run. `cargo test -- --nocapture killed` prints the counts.
#[test]
fn killed_run_leaves_a_complete_published_run() {
    let [killed, torn_reads, reads] = [const { AtomicUsize::new(0) }; 3];
    thread::scope(|scope| {
        for half in 0..2 {
            let [killed, torn_reads, reads] = [&killed, &torn_reads, &reads];
            scope.spawn(move || {
                let shop = large_shop(6000);
                let out = shop.path("out");
                let duration = run_duration(&shop);
                let done = AtomicBool::new(false);
                thread::scope(|scope| {
                    scope.spawn(|| {
                        while !done.load(Ordering::SeqCst) {
                            let torn = !Published::open(&out).is_ok_and(|run| run.is_complete());
                            torn_reads.fetch_add(usize::from(torn), Ordering::SeqCst);
                            reads.fetch_add(1, Ordering::SeqCst);
                            thread::sleep(Duration::from_millis(5));
                        }
                    });
                    let mut point = 0;
                    let mut killed_here = 0;
                    while killed_here < 105 {
                        // Multiples of the golden ratio spread the points evenly.
                        let spread =
                            (f64::from(point) * 0.618_033_988_75 + f64::from(half) / 210.0) % 1.0;
                        let position = if point % 3 == 0 { 0.75 + spread / 4.0 } else { spread };
                        let before = run_names(&out);
                        let mut child = start(&shop, &format!("point_{point}"));
                        thread::sleep(duration.mul_f64(position));
                        child.kill().unwrap();
                        let (status, stderr) = finish(child);
                        let was_killed = status.signal() == Some(9);
                        assert!(was_killed || status.success(), "{stderr}");
                        killed_here += usize::from(was_killed);
                        assert_complete(&out);
                        let after = run_names(&out);
                        let lost: Vec<&String> = before
                            .iter()
                            .filter(|name| !name.starts_with('.') && !after.contains(*name))
                            .collect();
                        assert!(lost.is_empty(), "{lost:?}");
                        point += 1;
                        if point % 15 == 0 {
                            let (status, stderr) = finish(start(&shop, &format!("after_{point}")));
                            assert!(status.success(), "{stderr}");
                            assert!(
                                run_names(&out).iter().all(|name| !name.starts_with('.')),
                                "{:?}",
                                run_names(&out)
                            );
                        }
                        assert!(point < 1000, "runs end before they can be killed");
                    }
                    killed.fetch_add(killed_here, Ordering::SeqCst);
                    done.store(true, Ordering::SeqCst);
                });
                for name in run_names(&out).iter().filter(|name| !name.starts_with('.')) {
                    assert_complete(&out.join("runs").join(name));
                }
            });
        }
    });
    let [killed, torn, reads] = [killed, torn_reads, reads].map(AtomicUsize::into_inner);
    eprintln!("killed {killed} runs; {reads} concurrent reads, {torn} torn");
    assert!(killed >= 200 && reads > 200);
    assert_eq!(torn, 0);
}

#[test]
fn interrupted_run_cleans_up_and_reports_the_signal() {
    let shop = large_shop(60_000);
    let out = shop.path("out");
    let duration = run_duration(&shop);
    let before = run_names(&out);
    let mut stopped = 0;
    for (i, (signal, code)) in
        [("TERM", 143), ("INT", 130)].into_iter().cycle().take(16).enumerate()
    {
        let child = start(&shop, &format!("stopped_{i}"));
        thread::sleep(duration.mul_f64(0.1 + 0.05 * i as f64));
        Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status()
            .unwrap();
        let (status, stderr) = finish(child);
        assert_complete(&out);
        if status.code() == Some(code) {
            stopped += 1;
            assert!(stderr.starts_with(&format!("error: interrupted by SIG{signal}")), "{stderr}");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
            assert!(
                run_names(&out).iter().all(|name| !name.starts_with('.')),
                "{:?}",
                run_names(&out)
            );
        } else {
            // The signal came before the handler was installed, or after the end of the run.
            assert!(status.success() || status.signal().is_some(), "{status} {stderr}");
        }
    }
    assert!(stopped >= 8, "{stopped}");
    assert!(before.is_subset(&run_names(&out)));
}

#[test]
fn concurrent_run_fails_without_changes() {
    let shop = large_shop(20_000);
    finish(start(&shop, "first"));
    let mut failed = 0;
    for i in 0..8 {
        let before = run_names(&shop.path("out"));
        let both =
            [start(&shop, &format!("one_{i}")), start(&shop, &format!("other_{i}"))].map(finish);
        let after = run_names(&shop.path("out"));
        let succeeded = both.iter().filter(|(status, _)| status.success()).count();
        for (status, stderr) in both.iter().filter(|(status, _)| !status.success()) {
            assert_eq!(status.code(), Some(4), "{stderr}");
            assert!(stderr.contains("another run is writing to"), "{stderr}");
            failed += 1;
        }
        assert!(succeeded >= 1);
        assert_eq!(after.difference(&before).count(), succeeded, "{after:?}");
        assert_complete(&shop.path("out"));
    }
    assert!(failed >= 4, "{failed}");
}

/// The destination is a small file system that fills up at several points of a run.
#[test]
#[ignore = "needs root to mount a tmpfs"]
fn full_disk_fails_the_run_and_keeps_the_published_one() {
    let shop = large_shop(6000);
    let script = r#"
        set -e
        complete() { "$CUSTSEG" inspect out | grep -c 'complete    yes'; }
        temporary() { ls -A out/runs | grep -c '^[.]' || true; }
        mkdir out
        mount -t tmpfs -o size=64m none out
        "$CUSTSEG" -q run shop.yaml --set name=first > first.json
        used=$(du -sk out | cut -f1)
        for more in 0 4 12 24 40 64 96 128; do
            mount -o remount,size=$((used + more))k none out
            code=0
            "$CUSTSEG" -q run shop.yaml --force --set name=full_$more 2> stderr.txt > /dev/null || code=$?
            echo "$more $code $(complete) $(temporary) $(tr '\n' ' ' < stderr.txt)"
        done
        mount -o remount,size=64m none out
        "$CUSTSEG" -q run shop.yaml --force --set name=again > /dev/null
        echo "again 0 $(complete) $(temporary)"
    "#;
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .env("CUSTSEG", env!("CARGO_BIN_EXE_custseg"))
        .current_dir(shop.folder.path())
        .output()
        .unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    let mut full = 0;
    for line in report.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        assert_eq!(fields[2], "1", "published run: {line}");
        match fields[1] {
            "4" => {
                full += 1;
                assert!(
                    line.contains("error: ") && line.to_lowercase().contains("no space left"),
                    "{line}"
                );
                assert_eq!(fields[3], "0", "temporary files: {line}");
            }
            code => assert_eq!(code, "0", "{line}"),
        }
    }
    assert!(full >= 4, "{report}");
    assert!(report.lines().last().unwrap().starts_with("again 0 1 0"), "{report}");
}

#[test]
fn missing_permission_fails_the_run_and_the_next_succeeds() {
    let shop = large_shop(600);
    let first = finish(start(&shop, "first"));
    assert!(first.0.success(), "{}", first.1);
    let before = run_names(&shop.path("out"));
    // Root may write anywhere unless it drops its capabilities.
    let script = r#"
        run() {
            code=0
            $DROP_CAPABILITIES "$CUSTSEG" -q run shop.yaml --force --set name=second \
                2>> stderr.txt > /dev/null || code=$?
        }
        for folder in out out/runs; do
            chmod 555 $folder
            run
            chmod 755 $folder
            echo $code
        done
        chmod 000 shop.csv
        run
        chmod 644 shop.csv
        echo $code
    "#;
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let drop_capabilities = if root { "setpriv --bounding-set=-all --inh-caps=-all" } else { "" };
    let output = Command::new("sh")
        .args(["-c", script])
        .env("CUSTSEG", env!("CARGO_BIN_EXE_custseg"))
        .env("DROP_CAPABILITIES", drop_capabilities)
        .current_dir(shop.folder.path())
        .output()
        .unwrap();
    let stderr = fs::read_to_string(shop.path("stderr.txt")).unwrap();
    // `out` contains the lock, which exists already, and the link `current`.
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "4\n4\n4\n", "{stderr}");
    assert_eq!(stderr.matches("Permission denied").count(), 3, "{stderr}");
    assert_complete(&shop.path("out"));
    assert!(before.is_subset(&run_names(&shop.path("out"))));
    assert!(finish(start(&shop, "second")).0.success());
}

/// An unwritable log once caused a panic (exit code 101), and after a signal a hang that kept the
/// lock.
#[test]
fn unwritable_log_does_not_change_the_outcome() {
    let shop = large_shop(60_000);
    let run = |script: &str| {
        let script = script.replace("custseg", env!("CARGO_BIN_EXE_custseg"));
        Command::new("bash").args(["-c", &script]).current_dir(shop.folder.path()).output().unwrap()
    };
    assert_eq!(run("custseg check nowhere.yaml 2> /dev/full").status.code(), Some(4));
    let complete = run("custseg run shop.yaml 2> /dev/full");
    assert_eq!(complete.status.code(), Some(0));
    assert!(String::from_utf8(complete.stdout).unwrap().starts_with("{\"run_id\""));
    let closed = run("custseg run shop.yaml 2>&-");
    assert_eq!((closed.status.code(), closed.stdout.is_empty()), (Some(0), false));
    let stopped = run(
        "custseg run shop.yaml --force --set name=other 2> /dev/full & sleep 0.1; kill -TERM $!; wait $!",
    );
    assert!([Some(143), Some(0)].contains(&stopped.status.code()), "{:?}", stopped.status);
}

/// Pruning removes only runs of custseg.
#[test]
fn foreign_files_among_the_runs_are_kept() {
    let shop = Shop::fixture();
    shop.run(&[]);
    let runs = shop.path("out/runs");
    for folder in ["notes", ".hidden"] {
        fs::create_dir(runs.join(folder)).unwrap();
        fs::write(runs.join(folder).join("precious"), "").unwrap();
    }
    fs::write(runs.join(".gitkeep"), "").unwrap();
    std::os::unix::fs::symlink("nowhere", runs.join("notes/loop")).unwrap();
    shop.run(&["--force", "--set", "name=other", "--set", "publish.keep_runs=2"]);
    assert_eq!(shop.custseg(&["runs", "prune", "out", "--keep", "1"]).code, 0);
    for kept in ["notes/precious", ".hidden/precious", ".gitkeep"] {
        assert!(runs.join(kept).exists(), "{kept}");
    }
    assert_eq!(shop.custseg(&["runs", "list", "out", "--json"]).stdout.lines().count(), 1);
}

/// `current` may be an absolute link: pruning once took its run for an old one.
#[test]
fn pruning_keeps_the_published_run_of_an_absolute_link() {
    let shop = Shop::fixture();
    shop.run(&[]);
    let first = shop.path("out/current").canonicalize().unwrap();
    shop.run(&["--force", "--set", "name=newer"]);
    fs::remove_file(shop.path("out/current")).unwrap();
    std::os::unix::fs::symlink(&first, shop.path("out/current")).unwrap();
    assert_eq!(shop.custseg(&["runs", "prune", "out", "--keep", "1"]).code, 0);
    assert_complete(&shop.path("out"));
    assert_eq!(run_names(&shop.path("out")).len(), 1);
    // A run without a manifest does not count as one to keep.
    fs::create_dir(shop.path("out/runs/0123456789abcdef")).unwrap();
    assert_eq!(shop.custseg(&["runs", "prune", "out", "--keep", "1"]).code, 0);
    assert_complete(&shop.path("out"));
    assert_eq!(run_names(&shop.path("out")).len(), 1);
}

#[test]
fn unwritable_destination_fails_before_scan() {
    let shop = Shop::fixture();
    fs::create_dir_all(shop.path("out/current")).unwrap();
    let outcome = shop.custseg(&["run", "shop.yaml"]);
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(
        !outcome.stderr.contains("source read") && outcome.stderr.contains("current"),
        "{}",
        outcome.stderr
    );
    assert!(run_names(&shop.path("out")).is_empty());
    // Pruning a folder without runs fails and does not change it.
    fs::create_dir(shop.path("typo")).unwrap();
    assert_eq!(shop.custseg(&["runs", "prune", "typo", "--keep", "1"]).code, 4);
    assert_eq!(fs::read_dir(shop.path("typo")).unwrap().count(), 0);
    assert_eq!(shop.custseg(&["runs", "prune", "s3://shop/out", "--keep", "1"]).code, 2);
}
