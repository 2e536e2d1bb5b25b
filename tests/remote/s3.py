"""Reads from and publishes to an S3-compatible server (moto), and reads from a web server.

    python s3.py --binary target/release/custseg
"""

import argparse
import http.server
import json
import logging
import os
import pathlib
import subprocess
import tempfile
import threading
import time

import boto3
import polars as pl
from moto.server import ThreadedMotoServer

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"
BUCKET = "shop-lake"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True, type=pathlib.Path)
    binary = parser.parse_args().binary.resolve()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = os.environ | {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
    }
    os.environ.update(environment)
    s3 = boto3.client("s3", endpoint_url=environment["AWS_ENDPOINT_URL"], region_name="eu-west-1")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    with tempfile.TemporaryDirectory() as folder:
        try:
            Shop(binary, pathlib.Path(folder), s3, environment).test()
        finally:
            server.stop()
    print("remote: ok")


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """A file server without a log."""

    def log_message(self, *_):
        pass


class Shop:
    """The fixture shop in a bucket, and the tests over it."""

    def __init__(self, binary, folder, s3, environment):
        self.binary, self.folder, self.s3, self.environment = binary, folder, s3, environment
        for name in ["shop.yaml", "map.yaml", "shop.csv"]:
            (folder / name).write_bytes((FIXTURES / name).read_bytes())
        head, *lines = (folder / "shop.csv").read_text().splitlines()
        self.head = head
        for i in range(3):
            self.put(f"raw/2024/part-{i}.csv", "\n".join([head, *lines[i::3]]) + "\n")
        # Files that are not data.
        self.put("raw/2024/_SUCCESS", "")
        self.put("raw/2024/notes.txt", "nothing")

    def put(self, key, text):
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())

    def start(self, *args):
        """Starts a run from the bucket into the bucket, with its own TMPDIR."""
        temp = self.folder / "temp"
        temp.mkdir(exist_ok=True)
        return subprocess.Popen(
            [self.binary, "-q", "run", "shop.yaml", "--force", *args],
            cwd=self.folder,
            env=self.environment | {"TMPDIR": str(temp)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *args, code=0):
        process = self.start(*args)
        out, err = process.communicate()
        assert process.returncode == code, (args, process.returncode, err)
        assert "hunter2" not in out + err
        left = list((self.folder / "temp").iterdir())
        assert not left, left
        return (json.loads(out) if out else None), err

    def assert_complete(self):
        """Returns the published manifest. All files that it lists must exist in the bucket."""
        manifest = json.loads(self.s3.get_object(Bucket=BUCKET, Key="out/manifest.json")["Body"].read())
        for output in manifest["outputs"]:
            key = f"out/runs/{manifest['run_id']}/{output['path']}"
            assert self.s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == output["bytes"], key
        return manifest

    def keys(self, prefix):
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [item["Key"] for item in found]

    def test(self):
        source = f"ingest.transactions.paths=[s3://{BUCKET}/raw/2024/]"
        to = f"publish.to=s3://{BUCKET}/out"
        remote = ["--set", source, "--set", to]

        # Rows from the bucket and from a local folder give the same bytes.
        line, _ = self.run(*remote)
        assert line["path"] == f"s3://{BUCKET}/out/manifest.json", line
        assert line["run_path"] == f"s3://{BUCKET}/out/runs/{line['run_id']}", line
        manifest = self.assert_complete()
        assert [entry["path"] for entry in manifest["inputs"]] == [
            f"s3://{BUCKET}/raw/2024/part-{i}.csv" for i in range(3)
        ]
        self.run("--set", "publish.to=here")
        here = json.loads((self.folder / "here/current/manifest.json").read_text())
        assert hashes(manifest) == hashes(here)

        # Polars reads the published table over S3.
        store = {key: value for key, value in self.environment.items() if key.startswith("AWS_")}
        store = {key.lower(): value for key, value in store.items()}
        url = f"s3://{BUCKET}/out/runs/{manifest['run_id']}/segments/**/*.parquet"
        segments = pl.scan_parquet(url, storage_options=store).collect()
        assert segments.height == manifest["rows"]["segments"], segments

        # A glob, a single object, and invalid locations.
        self.run("--set", f"ingest.transactions.paths=['s3://{BUCKET}/raw/*/part-[01].csv']", "--set", to)
        assert len(self.assert_complete()["inputs"]) == 2
        self.run("--set", f"ingest.transactions.paths=[s3://{BUCKET}/raw/2024/part-2.csv]", "--set", to)
        assert len(self.assert_complete()["inputs"]) == 1
        _, err = self.run("--set", f"ingest.transactions.paths=[s3://{BUCKET}/nothing/]", "--set", to, code=4)
        assert f"no file matches `s3://{BUCKET}/nothing/`" in err, err
        _, err = self.run("--set", "ingest.transactions.paths=[s3://no-such-bucket/x.csv]", "--set", to, code=4)
        assert "s3://no-such-bucket/x.csv" in err, err
        _, err = self.run("--set", "publish.to=s3://no-such-bucket/out", code=4)
        assert "s3://no-such-bucket/out/runs" in err and "NoSuchBucket" in err, err
        _, err = self.run("--set", f"publish.to=s3://me:hunter2@{BUCKET}/out", code=2)
        assert "credentials in a URL are not supported" in err, err
        _, err = self.run("--set", "publish.to=file:///tmp/out", code=2)
        assert "`file://` is not supported" in err, err
        _, err = self.run("--set", "ingest.transactions.paths=[hdfs://shop/x.csv]", code=2)
        assert "`hdfs://` is not a supported store" in err, err
        _, err = self.run("--set", "publish.to=https://example.org/out", code=2)
        assert "cannot publish to the web" in err, err

        # An up-to-date run exits with 99; a new object gives a new run.
        self.run(*remote)
        self.run(*remote, "--only-new", "--skip-code", code=99)
        self.put("raw/2024/part-3.csv", f"{self.head}\nZ9,P1,1,2024-02-20 10:00,1.00,1009,UK\n")
        line, _ = self.run(*remote, "--only-new", "--skip-code")
        assert len(self.assert_complete()["inputs"]) == 4

        # A run with a failed check is kept as `.failed` in the bucket.
        _, err = self.run(*remote, "--set", "checks=[{row_count: {max: 2}}]", code=3)
        assert f"s3://{BUCKET}/out/runs/" in err and ".failed" in err, err
        assert any(".failed/checks.json" in key for key in self.keys("out/runs/"))
        assert self.assert_complete()["run_id"] == line["run_id"]

        # Pruning removes the oldest runs, never the published one.
        for i in range(4):
            self.run(*remote, "--set", f"name=shop_{i}", "--set", "publish.keep_runs=2")
            time.sleep(1.1)
        complete = {key.split("/")[2] for key in self.keys("out/runs/") if ".failed" not in key}
        assert len(complete) == 2 and self.assert_complete()["run_id"] in complete, complete

        # A run with one snapshot is compared with the run before, which stays.
        to = ["--set", f"publish.to=s3://{BUCKET}/dates", "--set", "publish.keep_runs=2"]
        for date in ["2024-02-20", "2024-02-29", "2024-03-02", "2024-03-02"]:
            self.run("--set", source, *to, "--as-of", date)
            time.sleep(1.1)
        dated = json.loads(self.s3.get_object(Bucket=BUCKET, Key="dates/manifest.json")["Body"].read())
        assert dated["compared_with"]["snapshot"] == "2024-02-29", dated["compared_with"]
        assert "changes.parquet" in [output["path"] for output in dated["outputs"]]
        runs = {key.split("/")[2] for key in self.keys("dates/runs/")}
        assert runs == {dated["run_id"], dated["compared_with"]["run_id"]}, runs

        # Failed runs are pruned separately.
        for i in range(4):
            checks = f"checks=[{{row_count: {{max: {i + 1}}}}}]"
            self.run(*remote, "--set", checks, "--set", "publish.keep_runs=2", code=3)
            time.sleep(1.1)
        failed = {key.split("/")[2] for key in self.keys("out/runs/") if ".failed" in key}
        assert len(failed) == 2, failed

        # The next run repairs a damaged destination.
        manifest = self.assert_complete()
        for key in self.keys(f"out/runs/{manifest['run_id']}/"):
            self.s3.delete_object(Bucket=BUCKET, Key=key)
        self.run(*remote, "--only-new")
        self.assert_complete()
        self.put("out/manifest.json", "noise")
        self.put(f"out/runs/{manifest['run_id']}/manifest.json", "noise")
        self.run(*remote, "--only-new")
        self.assert_complete()

        # A run killed at any point leaves a complete published run.
        began = time.monotonic()
        self.run(*remote, "--set", "name=undisturbed")
        duration = time.monotonic() - began
        killed = 0
        for i in range(40):
            process = self.start(*remote, "--set", f"name=killed_{i}")
            time.sleep(duration * (i + 0.5) / 40)
            process.kill()
            process.communicate()
            killed += process.returncode == -9
            self.assert_complete()
        assert killed >= 20, killed
        for left in (self.folder / "temp").iterdir():
            subprocess.run(["rm", "-r", left], check=True)
        self.run(*remote)
        print(f"remote: {killed} of 40 runs killed, the published run always complete")

        # A source on a web server.
        web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: QuietHandler(*args, directory=self.folder))
        threading.Thread(target=web.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{web.server_port}"
        self.run("--set", f"ingest.transactions.paths=[{address}/shop.csv?sig=hunter2]", "--set", "publish.to=web")
        of_web = json.loads((self.folder / "web/current/manifest.json").read_text())
        assert hashes(of_web) == hashes(here) and of_web["inputs"][0]["path"] == f"{address}/shop.csv"
        _, err = self.run("--set", f"ingest.transactions.paths=[{address}/none.csv]", "--set", "publish.to=web", code=4)
        assert f"{address}/none.csv" in err and "404" in err, err


def hashes(manifest):
    """Hashes by path, without files that contain source paths (rejects and report)."""
    outputs = {output["path"]: output["blake3"] for output in manifest["outputs"]}
    return {path: digest for path, digest in outputs.items() if path not in ("rejects.parquet", "report.html")}


if __name__ == "__main__":
    main()
