from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from otagate._bucket_url import parse_bucket_url
from otagate.errors import ConflictError, NotFoundError, UsageError
from otagate.flow.init import STORAGE, initialise
from otagate.flow.init_detect import look_around
from otagate.flow.init_done import Deed, Initialised
from otagate.flow.init_files import write_text
from otagate.policy import load_policy

ENVIRON = {"PATH": os.defpath, "GIT_CONFIG_NOSYSTEM": "1", "GIT_DIR": "/nonexistent"}
CONFIG = '{\n  "appId": "com.example.app",\n  "webDir": "www"\n}\n'
BUILT = {"scripts": {"build": "vite build"}, "version": "1.2.3"}


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.com"]
    subprocess.run(
        ["git", *identity, *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )


@pytest.fixture(name="app")
def make_app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / ".git").mkdir()
    (folder / "capacitor.config.json").write_text(CONFIG)
    (folder / "package.json").write_text(json.dumps(BUILT))
    return folder


def init(
    folder: Path,
    *,
    app_id: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    storage: str = STORAGE,
    devices: int | None = None,
) -> Initialised:
    policy = folder / "otagate.yml"
    return initialise(policy, ENVIRON, app_id=app_id, force=force, dry_run=dry_run, storage=storage, devices=devices)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def deeds(done: Initialised) -> dict[str, Deed]:
    return {item.path: item.deed for item in done.items}


def test_a_new_app_gets_a_policy_that_loads_without_a_word(app: Path) -> None:
    done = init(app)
    assert set(deeds(done).values()) == {Deed.CREATE, Deed.UPDATE}
    policy = load_policy(app / "otagate.yml")
    assert policy.warnings == ()
    assert str(policy.app) == "com.example.app"
    assert (policy.build.command, policy.build.output, policy.versioning) == ("npm run build", "www", "package")
    assert [rule.pattern for rule in policy.branches] == ["main", "develop"]
    assert [phase.name for phase in policy.tracks["production"].phases] == ["internal", "beta", "stable"]
    assert len(policy.gates) == 6
    assert (
        (app / "otagate.yml")
        .read_text()
        .startswith("# yaml-language-server: $schema=https://otagate.dev/schema/policy/v1.json\n")
    )


def test_the_keys_of_the_policy_work_together(app: Path) -> None:
    from otagate.seal.registry import open_signer
    from otagate.seal.trust import load_trusted

    init(app)
    policy = load_policy(app / "otagate.yml")
    assert policy.seal.signing_key is not None
    signer = open_signer(policy.seal.signing_key, environ={}, base=app)
    assert load_trusted(policy.trust.keys, environ={}, base=app).keys == (signer.public_key(),)
    public = (app / ".otagate/keys/encryption.pub.pem").read_text()
    config = json.loads((app / "capacitor.config.json").read_text())
    assert config["plugins"]["CapacitorUpdater"]["publicKey"] == public
    assert public.startswith("-----BEGIN RSA PUBLIC KEY-----\n")


def test_keys_are_private_and_ignored_by_git(app: Path) -> None:
    (app / ".gitignore").write_text("node_modules")
    init(app)
    keys = app / ".otagate/keys"
    assert keys.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in keys.iterdir()} == {0o600}
    assert (app / ".gitignore").read_text() == "node_modules\n.otagate/keys/\n.otagate/store/\n"


@pytest.mark.parametrize("line", [".otagate/\n", "/.otagate\n", ".otagate/keys\n.otagate/store\n"])
def test_what_git_ignores_already_is_not_added(line: str, app: Path) -> None:
    (app / ".gitignore").write_text(line)
    assert deeds(init(app))[".gitignore"] is Deed.KEEP
    assert (app / ".gitignore").read_text() == line


def test_a_dry_run_says_the_same_and_writes_nothing(app: Path) -> None:
    before = tree(app)
    planned = init(app, dry_run=True)
    assert tree(app) == before
    assert planned.changes
    assert deeds(planned) == deeds(init(app))


def test_a_second_run_says_what_is_there_and_changes_nothing(app: Path) -> None:
    init(app)
    before = tree(app)
    done = init(app)
    assert tree(app) == before
    assert not done.changes
    assert deeds(done) == {".otagate/keys": Deed.KEEP, "otagate.yml": Deed.KEEP}


def test_a_policy_that_somebody_wrote_is_left_alone(app: Path) -> None:
    (app / "otagate.yaml").write_text("mine")
    done = init(app)
    assert deeds(done) == {".otagate/keys": Deed.MISSING, "otagate.yaml": Deed.KEEP}
    assert sorted(path.name for path in app.iterdir()) == [".git", "capacitor.config.json", "otagate.yaml", "package.json"]


def test_a_rollout_is_fitted_to_the_devices_once_they_are_told(app: Path) -> None:
    assert init(app).fitted is None
    usual = (app / "otagate.yml").read_text()
    assert init(app, devices=1000).fitted is None, "a policy that is there is left alone"
    done = init(app, devices=1000, force=True)
    assert done.fitted is not None
    assert (done.fitted.devices, done.fitted.weights) == (1000, (25, 50, 100))
    assert "weights: [25%, 50%, 100%]" in (app / "otagate.yml").read_text()
    init(app, force=True)
    assert (app / "otagate.yml").read_text() == usual


def test_force_writes_a_new_policy_and_keeps_the_keys(app: Path) -> None:
    init(app)
    keys = {name: data for name, data in tree(app).items() if "keys" in name}
    first = (app / "otagate.yml").read_text()
    (app / "otagate.yml").write_text("mine")
    done = init(app, force=True)
    assert deeds(done)["otagate.yml"] is Deed.UPDATE
    assert deeds(done)[".otagate/keys"] is Deed.KEEP
    assert {name: data for name, data in tree(app).items() if "keys" in name} == keys
    assert (app / "otagate.yml").read_text() == first


def test_an_init_that_was_interrupted_is_finished_by_the_next(app: Path) -> None:
    init(app)
    whole = tree(app)
    (app / "otagate.yml").unlink()
    (app / "capacitor.config.json").write_text(CONFIG)
    init(app)
    assert tree(app) == whole


def test_another_public_key_is_not_replaced_without_force(app: Path) -> None:
    (app / "capacitor.config.json").write_text(
        '{"appId": "com.example.app", "plugins": {"CapacitorUpdater": {"publicKey": "old"}}}'
    )
    before = tree(app)
    with pytest.raises(ConflictError, match="another public key") as caught:
        init(app)
    assert "--force" in str(caught.value)
    assert tree(app) == before
    init(app, force=True)
    assert "BEGIN RSA PUBLIC KEY" in (app / "capacitor.config.json").read_text()


def test_half_a_set_of_keys_stops_everything(app: Path) -> None:
    init(app)
    (app / "otagate.yml").unlink()
    (app / ".otagate/keys/signing.pem").unlink()
    before = tree(app)
    with pytest.raises(ConflictError, match="the set of keys is not complete") as caught:
        init(app)
    assert "without signing.pem" in str(caught.value)
    assert tree(app) == before


@pytest.mark.parametrize("name", ["capacitor.config.ts", "capacitor.config.js"])
def test_code_is_not_changed_and_the_lines_to_add_are_given(name: str, app: Path) -> None:
    (app / "capacitor.config.json").unlink()
    (app / name).write_text("export default { appId: 'com.example.app', webDir: 'www' };\n")
    before = (app / name).read_text()
    done = init(app)
    assert deeds(done)[name] is Deed.BY_HAND
    assert (app / name).read_text() == before
    assert done.by_hand is not None
    assert "'-----BEGIN RSA PUBLIC KEY-----\\n' +\n" in done.by_hand
    assert "PRIVATE" not in done.by_hand


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('{"appId": "com.example.app", "plugins": 5}', "the app's configuration cannot be used"),
        ('{"appId": "x"}', "not an app id"),
        ("{", "app's id is not known"),
        ('{"webDir": "x"}', "no plain `appId` was found"),
    ],
)
def test_a_configuration_that_is_no_use_stops_everything(config: str, said: str, app: Path) -> None:
    (app / "capacitor.config.json").write_text(config)
    before = tree(app)
    with pytest.raises(UsageError, match=said):
        init(app)
    assert tree(app) == before


def test_files_that_are_not_text_stop_everything(app: Path) -> None:
    (app / ".gitignore").write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"the \.gitignore cannot be read"):
        init(app)
    assert not (app / ".otagate").exists()


def test_the_app_id_can_be_given(app: Path) -> None:
    (app / "capacitor.config.json").unlink()
    with pytest.raises(UsageError, match="no Capacitor configuration"):
        init(app)
    init(app, app_id="org.other.app")
    policy = load_policy(app / "otagate.yml")
    assert (str(policy.app), policy.build.output) == ("org.other.app", "dist")


@pytest.mark.parametrize(
    "url",
    [
        "s3://acme-updates/shop?region=eu-west-1&public=https://updates.example.com",
        "gs://acme-updates",
        "az://updates/shop?account=acme",
        "file:/srv/a b: #c",
    ],
)
def test_the_storage_is_written_as_it_was_given(url: str, app: Path) -> None:
    done = init(app, storage=url)
    policy = load_policy(app / "otagate.yml")
    assert (policy.storage, done.storage, policy.warnings) == (url, url, ())


def test_the_policy_shows_how_each_cloud_is_written(app: Path) -> None:
    init(app)
    text = (app / "otagate.yml").read_text()
    for line in [line for line in text.splitlines() if re.match(r"#   (?:s3|gs|az)://", line)]:
        url = line.removeprefix("#   ").replace("BUCKET", "abc").replace("CONTAINER", "abc").replace("PREFIX", "x")
        assert parse_bucket_url(url.replace("ACCOUNT", "acme")).public == "https://updates.example.com"
    assert text.count("public=https://updates.example.com") == 3
    assert load_policy(app / "otagate.yml").storage == f"file:{app}/.otagate/store"


@pytest.mark.parametrize(
    "url", ["s4://x", "x", "file:", "s3://acme?regoin=x", "s3://joe:sesame@acme", "gs://AKIAIOSFODNN7EXAMPLE"]
)
def test_a_storage_that_is_none_is_refused_before_anything_is_written(url: str, app: Path) -> None:
    before = tree(app)
    with pytest.raises(UsageError, match="storage URL") as caught:
        init(app, storage=url)
    assert tree(app) == before
    assert not {"sesame", "AKIA"} & set(re.findall(r"sesame|AKIA", str(caught.value)))


def test_a_folder_that_is_not_there_is_an_error(app: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        init(app / "none")


def test_a_folder_name_of_any_kind_is_safe_in_the_policy(app: Path) -> None:
    name = 'w "ö" #💥: {x}'
    (app / "capacitor.config.json").write_text(json.dumps({"appId": "com.example.app", "webDir": name}))
    init(app)
    assert load_policy(app / "otagate.yml").build.output == name


def test_without_a_build_script_the_output_is_used_as_it_is(app: Path) -> None:
    (app / "package.json").write_text('{"scripts": []}')
    init(app)
    policy = load_policy(app / "otagate.yml")
    assert policy.build.command is None
    assert policy.versioning == "{date}-{time}.{sha7}"


@pytest.mark.parametrize(("lock", "runner"), [("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("package-lock.json", "npm")])
def test_the_build_runs_with_the_apps_package_manager(lock: str, runner: str, app: Path) -> None:
    (app / lock).write_text("{}")
    assert look_around(app, ENVIRON).build_command == f"{runner} run build"


def test_a_broken_package_json_is_no_build_script(app: Path) -> None:
    (app / "package.json").write_text("{")
    assert look_around(app, ENVIRON).build_command is None


def test_git_and_ci_are_looked_at(app: Path) -> None:
    (app / ".git").rmdir()
    git(app, "init", "-q", "-b", "master")
    assert not look_around(app, ENVIRON).has_commit
    git(app, "commit", "-q", "--allow-empty", "-m", "x")
    git(app, "branch", "feature/a")
    git(app, "branch", "-q", "odd'name")
    (app / ".github").mkdir()
    (app / "Jenkinsfile").write_text("")
    inner = app / "apps/shop"
    inner.mkdir(parents=True)
    found = look_around(inner, ENVIRON)
    assert found.branches == ("feature/a", "master")
    assert found.main_branch == "master"
    assert found.has_commit
    assert found.ci == ("GitHub Actions", "Jenkins")


def test_without_git_nothing_is_known_of_branches(app: Path) -> None:
    found = look_around(app, {"PATH": str(app)})
    assert (found.branches, found.has_commit, found.main_branch) == ((), False, "main")


def test_a_folder_where_a_file_belongs_is_an_error(app: Path) -> None:
    (app / ".gitignore").mkdir()
    with pytest.raises(UsageError, match=r"the \.gitignore cannot be read"):
        init(app)


def test_a_write_that_fails_is_an_error_with_the_path(app: Path) -> None:
    with pytest.raises(NotFoundError, match="a file cannot be written") as caught:
        write_text(app / "none/x", "x")
    assert "none/x" in str(caught.value)


def test_a_configuration_behind_a_link_stays_a_link(app: Path) -> None:
    (app / "capacitor.config.json").rename(app / "real.json")
    (app / "capacitor.config.json").symlink_to("real.json")
    (app / "real.json").chmod(0o640)
    init(app)
    assert (app / "capacitor.config.json").is_symlink()
    assert "publicKey" in (app / "real.json").read_text()
    assert (app / "real.json").stat().st_mode & 0o777 == 0o640
