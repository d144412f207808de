"""Publish web builds to each store, beside rclone for the same folders in the same run: ``make bench-stores``.

Three publishes each: the first, the same files again under a new version, and one line changed. Seconds, processor time
and memory are of whole processes with nothing between them and the server; requests and bytes are counted in a run of their
own, through a proxy. Servers are those of the tests, on loopback. Writes ``benchmarks/out/stores.json`` and ``stores.md``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import contest
import trees
from measure import MIB, Command, Cost, machine, run
from report import figures, table
from wire import Traffic, counting

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import buckets

OUT = Path(__file__).parent / "out"
RCLONE = contest.BIN / "rclone"
POLICY = """version: 1
app: {{id: com.example.benchmark}}
build: {{output: www}}
seal: {{encryption_key: file:keys/encryption.pem, signing_key: file:keys/signing.pem}}
trust: {{keys: [file:keys/signing.pub.pem]}}
storage: "{storage}"
branches:
  main: {{channel: production}}
"""
STEPS = ("first", "unchanged", "one line changed")
GIT = ("git", "-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.com")


@dataclass(frozen=True, slots=True)
class Place:
    """A store, as both tools name it.

    Attributes:
        url: For otagate.
        remote: For rclone.
        environ: Identity and settings of both.
    """

    url: str
    remote: str
    environ: Mapping[str, str] = field(repr=False)


def place_of(bucket: buckets.Bucket, base: str | None = None) -> Place:
    """Give a bucket for both tools, through another base address when there is one."""
    parts = urlsplit(bucket.url)
    options = parse_qs(parts.query)
    endpoint = options["endpoint"][0]
    seen = base or endpoint
    url = bucket.url.replace(endpoint, seen)
    prefix = f"{parts.netloc}/{bucket.prefix}peer"
    common = {"RCLONE_CONFIG": "/dev/null"}
    if parts.scheme == "s3":
        more = {
            "RCLONE_S3_ENDPOINT": seen,
            "RCLONE_S3_PROVIDER": "Other",
            "RCLONE_S3_ENV_AUTH": "true",
            "AWS_REGION": "us-east-1",
        }
        return Place(url, f":s3:{prefix}", {**bucket.environ, **common, **more})
    if parts.scheme == "az":
        key = bucket.environ["AZURE_STORAGE_ACCOUNT_KEY"]
        more = {
            "RCLONE_AZUREBLOB_ACCOUNT": options["account"][0],
            "RCLONE_AZUREBLOB_KEY": key,
            "RCLONE_AZUREBLOB_ENDPOINT": seen,
        }
        return Place(url, f":azureblob:{prefix}", {**bucket.environ, **common, **more})
    more = {"RCLONE_GCS_ENDPOINT": f"{seen}/storage/v1/", "RCLONE_GCS_ANONYMOUS": "true"}
    return Place(url, f":gcs:{prefix}", {**bucket.environ, **common, **more})


@dataclass
class Project:
    """A web build under git that both tools publish."""

    shop: contest.Workshop
    place: Place
    version: int = 0

    @classmethod
    def make(cls, folder: Path, tree: Path, place: Place) -> Project:
        """Set it up afresh."""
        shop = contest.Workshop.make(folder)
        shutil.copytree(tree, folder / "www")
        script = folder / "www" / "benchmark.js"
        script.write_text("CapacitorUpdater.notifyAppReady()\n")
        page = folder / "www" / "index.html"
        if not page.exists():
            page.write_text('<script src="benchmark.js"></script>\n')
        (folder / "otagate.yml").write_text(POLICY.format(storage=place.url))
        (folder / ".gitignore").write_text("*\n!otagate.yml\n")
        for command in (("init", "-q", "-b", "main"), ("add", "otagate.yml"), ("commit", "-q", "-m", "Policy")):
            subprocess.run([*GIT, *command], cwd=folder, check=True)
        return cls(shop, place)

    def change(self) -> None:
        """Change one line."""
        with (self.shop.folder / "www" / "benchmark.js").open("a") as script:
            script.write(f"// {self.version}\n")

    def commit(self) -> None:
        """Make a new commit, as each publish of a new version has."""
        subprocess.run([*GIT, "commit", "-q", "--allow-empty", "-m", "More"], cwd=self.shop.folder, check=True)

    def otagate(self) -> Cost:
        """``otagate upload``: vet, zip, seal, sign, send what is missing, read it back."""
        self.version += 1
        self.commit()
        return self._run(contest.OTAGATE, "upload", "--version", f"1.0.{self.version}")

    def rclone(self) -> Cost:
        """``rclone sync``: send the files that differ, by size and time."""
        return self._run(RCLONE, "sync", "www", self.place.remote, "--stats", "0")

    def _run(self, program: Path, *arguments: str) -> Cost:
        command = self.shop.command(program, *arguments)
        environ = {**command.environ, **self.place.environ}
        return run(Command(command.argv, command.cwd, environ), self.shop.folder / "last.log")[0]


def three(project: Project, tool: Callable[[], Cost], traffic: Traffic | None = None) -> dict[str, tuple[Cost, Traffic]]:
    """Publish three times with one tool."""
    found = {}
    for step in STEPS:
        if step == "one line changed":
            project.change()
        if traffic is not None:
            traffic.requests, traffic.sent, traffic.received = {}, 0, 0
        cost = tool()
        seen = Traffic(dict(traffic.requests), traffic.sent, traffic.received) if traffic is not None else Traffic()
        found[step] = (cost, seen)
    return found


@contextmanager
def opened(store: str, folder: Path, *, counted: bool) -> Iterator[tuple[Place, Traffic | None]]:
    """Give an empty place in a store; a folder has no wire to count on."""
    if store == "folder":
        environ = {"RCLONE_CONFIG": "/dev/null"}
        yield Place(f"file:{folder / 'store'}", str(folder / "peer"), environ), None
        return
    bucket = buckets.ADAPTERS[store]()
    endpoint = parse_qs(urlsplit(bucket.url).query)["endpoint"][0]
    with counting(endpoint) if counted else nullcontext((None, None)) as (base, traffic):
        place = place_of(bucket, base)
        # `otagate init` tries a store before it writes the policy: that is not part of a publish.
        buckets.Bucket(place.url, bucket.environ, bucket.prefix).tried()
        yield place, traffic


def measure(store: str, tree: Path, rounds: int) -> dict[str, dict[str, dict[str, object]]]:
    """Let both tools publish one build to one store, in turn."""
    costs: dict[str, dict[str, list[Cost]]] = {tool: {step: [] for step in STEPS} for tool in ("otagate", "rclone")}
    wires: dict[str, dict[str, Traffic]] = {}
    for number in range(rounds + 1):
        for tool in costs:
            folder = OUT / "stores"
            shutil.rmtree(folder, ignore_errors=True)
            with opened(store, folder / "place", counted=number == rounds) as (place, traffic):
                if number == rounds and traffic is None:
                    continue
                project = Project.make(folder / "project", tree, place)
                found = three(project, getattr(project, tool), traffic)
                if traffic is not None:
                    wires[tool] = {step: each for step, (_, each) in found.items()}
                    continue
                for step, (cost, _) in found.items():
                    costs[tool][step].append(cost)
    return {
        tool: {step: {**figures(each), **_wire(wires.get(tool, {}).get(step))} for step, each in steps.items()}
        for tool, steps in costs.items()
    }


def _wire(traffic: Traffic | None) -> dict[str, object]:
    if traffic is None:
        return {}
    return {
        "requests": traffic.total,
        "by_method": traffic.requests,
        "sent_bytes": traffic.sent,
        "received_bytes": traffic.received,
    }


def rows(found: Mapping[str, Mapping[str, Mapping[str, Mapping[str, dict]]]]) -> list[list[str]]:  # type: ignore[type-arg]
    """Write the table's rows."""
    lines = [["build", "store", "publish", "tool", "wall s", "peak MiB", "requests", "sent", "received"]]
    for build, stores in found.items():
        for store, tools in stores.items():
            for step in STEPS:
                for tool, steps in tools.items():
                    each = steps[step]
                    wall, peak = each["wall_seconds"], each["peak_bytes"]
                    lines.append(
                        [
                            build,
                            store,
                            step,
                            tool,
                            f"{wall['median']:.2f} ({wall['min']:.2f}-{wall['max']:.2f})",
                            f"{peak['median'] / MIB:.0f}",
                            f"{each['requests']:,}" if "requests" in each else "",
                            f"{each['sent_bytes'] / 1e6:.3f} MB" if "requests" in each else "",
                            f"{each['received_bytes'] / 1e6:.3f} MB" if "requests" in each else "",
                        ]
                    )
    return lines


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each tool (default: 3)")
    parser.add_argument("--stores", nargs="*", default=["folder", *buckets.ADAPTERS], help="only these")
    options = parser.parse_args()
    contest.install()
    OUT.mkdir(exist_ok=True)
    quickstart = Path(__file__).parents[1] / "examples" / "quickstart" / "dist"
    builds = {"large": trees.assemble(OUT / "large", trees.LARGE)}
    if quickstart.exists():
        builds = {"quickstart": quickstart, **builds}
    found: dict[str, dict[str, dict[str, dict[str, dict[str, object]]]]] = {}
    for build, tree in builds.items():
        files, size = trees.weigh(tree)
        name = f"{build}: {size / 1e6:.1f} MB, {files:,} files"
        found[name] = {}
        for store in options.stores:
            print(f"{name}, {store} ...", file=sys.stderr)
            found[name][store] = measure(store, tree, options.rounds)
    report = {"schema": "otagate/benchmark-stores/v1", "machine": machine(""), "rounds": options.rounds, "found": found}
    (OUT / "stores.json").write_text(json.dumps(report, indent=2) + "\n")
    text = table(rows(found))
    (OUT / "stores.md").write_text(text + "\n")
    print(text)
    ratio = [
        tools["rclone"]["first"]["wall_seconds"]["median"] / tools["otagate"]["first"]["wall_seconds"]["median"]  # type: ignore[index]
        for stores in found.values()
        for tools in stores.values()
    ]
    print(
        f"\nfirst publish: {min(ratio):.1f} to {max(ratio):.1f} times as fast as rclone, median {statistics.median(ratio):.1f}"
    )


if __name__ == "__main__":
    main()
