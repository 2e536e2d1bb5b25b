"""Reads from and publishes to an S3-compatible server (moto) and a web server, as a user would.

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
            Shop(binary, pathlib.Path(folder), s3, environment).tried()
        finally:
            server.stop()
    print("remote: ok")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A web server that says nothing."""

    def log_message(self, *_):
        pass


class Shop:
    """The fixture shop in a bucket, and what is asked of it."""

    def __init__(self, binary, folder, s3, environment):
        self.binary, self.folder, self.s3, self.environment = binary, folder, s3, environment
        for name in ["shop.yaml", "map.yaml", "shop.csv"]:
            (folder / name).write_bytes((FIXTURES / name).read_bytes())
        head, *lines = (folder / "shop.csv").read_text().splitlines()
        self.head = head
        for i in range(3):
            self.put(f"raw/2024/part-{i}.csv", "\n".join([head, *lines[i::3]]) + "\n")
        # Neither is a table.
        self.put("raw/2024/_SUCCESS", "")
        self.put("raw/2024/notes.txt", "nothing")

    def put(self, key, text):
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())

    def start(self, *args):
        """Starts a run from the bucket into the bucket, its scratch apart."""
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        return subprocess.Popen(
            [self.binary, "-q", "run", "shop.yaml", *args],
            cwd=self.folder,
            env=self.environment | {"TMPDIR": str(scratch)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *args, code=0):
        process = self.start(*args)
        out, err = process.communicate()
        assert process.returncode == code, (args, process.returncode, err)
        assert "hunter2" not in out + err
        left = list((self.folder / "scratch").iterdir())
        assert not left, left
        return (json.loads(out) if out else None), err

    def whole(self):
        """Reads as README tells: the manifest of the place names a run, whose files are there as it says."""
        manifest = json.loads(self.s3.get_object(Bucket=BUCKET, Key="out/manifest.json")["Body"].read())
        for output in manifest["outputs"]:
            key = f"out/runs/{manifest['run_id']}/{output['path']}"
            assert self.s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == output["bytes"], key
        return manifest

    def keys(self, prefix):
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [item["Key"] for item in found]

    def tried(self):
        source = f"ingest.transactions.paths=[s3://{BUCKET}/raw/2024/]"
        to = f"publish.to=s3://{BUCKET}/out"
        remote = ["--set", source, "--set", to]

        # The same rows from a local folder give the same bytes.
        line, _ = self.run(*remote)
        assert line["path"] == f"s3://{BUCKET}/out/manifest.json", line
        assert line["run_path"] == f"s3://{BUCKET}/out/runs/{line['run_id']}", line
        manifest = self.whole()
        assert [entry["path"] for entry in manifest["inputs"]] == [
            f"s3://{BUCKET}/raw/2024/part-{i}.csv" for i in range(3)
        ]
        self.run("--set", "publish.to=here")
        here = json.loads((self.folder / "here/current/manifest.json").read_text())
        # Rejected rows and the page name the files that they come from.
        tables = lambda one: one["path"] not in ("rejects.parquet", "report.html")
        named = lambda manifest: {one["path"]: one["blake3"] for one in manifest["outputs"] if tables(one)}
        assert named(manifest) == named(here)

        # A reader of Parquet over S3 finds the table.
        store = {key: value for key, value in self.environment.items() if key.startswith("AWS_")}
        store = {key.lower(): value for key, value in store.items()}
        place = f"s3://{BUCKET}/out/runs/{manifest['run_id']}/segments/**/*.parquet"
        found = pl.scan_parquet(place, storage_options=store).collect()
        assert found.height == manifest["rows"]["segments"], found

        # A pattern, one object, and nothing at all.
        self.run("--set", f"ingest.transactions.paths=['s3://{BUCKET}/raw/*/part-[01].csv']", "--set", to)
        assert len(self.whole()["inputs"]) == 2
        self.run("--set", f"ingest.transactions.paths=[s3://{BUCKET}/raw/2024/part-2.csv]", "--set", to)
        assert len(self.whole()["inputs"]) == 1
        _, err = self.run("--set", f"ingest.transactions.paths=[s3://{BUCKET}/nothing/]", "--set", to, code=4)
        assert f"no file matches `s3://{BUCKET}/nothing/`" in err, err
        _, err = self.run("--set", "ingest.transactions.paths=[s3://no-such-bucket/x.csv]", "--set", to, code=4)
        assert "s3://no-such-bucket/x.csv" in err, err
        _, err = self.run("--set", "publish.to=s3://no-such-bucket/out", code=4)
        assert "s3://no-such-bucket/out/runs" in err and "NoSuchBucket" in err, err
        _, err = self.run("--set", f"publish.to=s3://me:hunter2@{BUCKET}/out", code=2)
        assert "credentials have no place in a URL" in err, err
        _, err = self.run("--set", "publish.to=file:///tmp/out", code=2)
        assert "`file://` is no store" in err, err
        _, err = self.run("--set", "ingest.transactions.paths=[hdfs://shop/x.csv]", code=2)
        assert "`hdfs://` is no store" in err, err
        _, err = self.run("--set", "publish.to=https://example.org/out", code=2)
        assert "the web is only read from" in err, err

        # Nothing new is nothing written; something new is.
        self.run(*remote)
        self.run(*remote, "--only-new", "--skip-code", code=99)
        self.put("raw/2024/part-3.csv", f"{self.head}\nZ9,P1,1,2024-02-20 10:00,1.00,1009,UK\n")
        line, _ = self.run(*remote, "--only-new", "--skip-code")
        assert len(self.whole()["inputs"]) == 4

        # A failed check is set aside in the bucket.
        _, err = self.run(*remote, "--set", "checks=[{row_count: {max: 2}}]", code=3)
        assert f"s3://{BUCKET}/out/runs/" in err and ".failed" in err, err
        assert any(".failed/checks.json" in key for key in self.keys("out/runs/"))
        assert self.whole()["run_id"] == line["run_id"]

        # The oldest runs go, never the one that readers see.
        for i in range(4):
            self.run(*remote, "--set", f"name=shop_{i}", "--set", "publish.keep_runs=2")
            time.sleep(1.1)
        whole = {key.split("/")[2] for key in self.keys("out/runs/") if ".failed" not in key}
        assert len(whole) == 2 and self.whole()["run_id"] in whole, whole

        # Failed runs are counted apart, and go too.
        for i in range(4):
            checks = f"checks=[{{row_count: {{max: {i + 1}}}}}]"
            self.run(*remote, "--set", checks, "--set", "publish.keep_runs=2", code=3)
            time.sleep(1.1)
        failed = {key.split("/")[2] for key in self.keys("out/runs/") if ".failed" in key}
        assert len(failed) == 2, failed

        # A damaged place is mended by the next run.
        manifest = self.whole()
        for key in self.keys(f"out/runs/{manifest['run_id']}/"):
            self.s3.delete_object(Bucket=BUCKET, Key=key)
        self.run(*remote, "--only-new")
        self.whole()
        self.put("out/manifest.json", "noise")
        self.put(f"out/runs/{manifest['run_id']}/manifest.json", "noise")
        self.run(*remote, "--only-new")
        self.whole()

        # Killed at any point, the place names a whole run.
        began = time.monotonic()
        self.run(*remote, "--set", "name=unhurried")
        takes, dead = time.monotonic() - began, 0
        for i in range(40):
            process = self.start(*remote, "--set", f"name=killed_{i}")
            time.sleep(takes * (i + 0.5) / 40)
            process.kill()
            process.communicate()
            dead += process.returncode == -9
            self.whole()
        assert dead >= 20, dead
        for left in (self.folder / "scratch").iterdir():
            subprocess.run(["rm", "-r", left], check=True)
        self.run(*remote)
        print(f"remote: {dead} of 40 runs killed, every reading whole")

        # From the web.
        web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: Quiet(*args, directory=self.folder))
        threading.Thread(target=web.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{web.server_port}"
        self.run("--set", f"ingest.transactions.paths=[{address}/shop.csv?sig=hunter2]", "--set", "publish.to=web")
        of_web = json.loads((self.folder / "web/current/manifest.json").read_text())
        assert named(of_web) == named(here) and of_web["inputs"][0]["path"] == f"{address}/shop.csv"
        _, err = self.run("--set", f"ingest.transactions.paths=[{address}/none.csv]", "--set", "publish.to=web", code=4)
        assert f"{address}/none.csv" in err and "404" in err, err


if __name__ == "__main__":
    main()
