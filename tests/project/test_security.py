"""What the project must not do: run what it reads, trust a download, write where it should not."""

from __future__ import annotations

import ast
import http.server
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request

import pytest

from rungs.data import cifar10, mnist, omniglot, omniglot28, sources
from rungs.data.sources import download
from rungs.errors import ConfigError, DataError
from rungs.paths import ROOT
from rungs.study import profile as configuration
from rungs.study.layers import merge
from rungs.study.runs import Run, runs
from rungs.study.validation import validate

SOURCES = sorted(
    path
    for place in ("src", "scripts", "docs")
    for path in (ROOT / place).rglob("*.py")
    if ".egg-info" not in str(path)
)
RULES = [ROOT / "Snakefile", ROOT / "workflow" / "Snakefile"]
RULES += sorted((ROOT / "workflow" / "rules").glob("*.smk"))

# --- what is read is never run -------------------------------------------------------------------

#: modules whose loaders run what they read
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
#: of other modules: shells, and formats of NumPy and pandas that may hold pickles
CALLS = {
    *("os.system", "os.popen", "os.execl", "os.execlp", "os.execv", "os.execvp", "os.spawnl"),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "commands.getoutput", "pty.spawn"),
    *("pandas.read_pickle", "pd.read_pickle", "numpy.fromregex", "code.interact"),
    *("yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "yaml.unsafe_load_all"),
    *("ssl._create_unverified_context", "ssl._create_default_https_context"),
}
BUILTINS = {"eval", "exec", "compile", "__import__", "input", "breakpoint"}
#: classes of PyYAML, and ours, that make nothing but plain values
SAFE_LOADERS = {"_StrictLoader", "SafeLoader", "CSafeLoader", "_SafeLoader"}


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of a name or attribute, else what follows the last call."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((word.value for word in call.keywords if word.arg == name), None)


def is_true(node: ast.expr | None) -> bool:
    """Whether an argument may be true: anything but a literal False or None."""
    return node is not None and not (isinstance(node, ast.Constant) and not node.value)


def wrongs_of_call(call: ast.Call) -> Iterator[str]:
    name = dotted(call.func)
    last = name.rpartition(".")[2]
    if name in BUILTINS or name in CALLS:
        yield name
    if name in ("torch.load", "torch.jit.load", "torch.package.PackageImporter"):
        only = keyword(call, "weights_only")
        if not (isinstance(only, ast.Constant) and only.value is True):
            yield f"{name} without weights_only=True"
    if last in ("load", "loadtxt", "savez", "open_memmap") and is_true(
        keyword(call, "allow_pickle")
    ):
        yield f"{name} with allow_pickle"
    if name in ("np.load", "numpy.load") and keyword(call, "allow_pickle") is None:
        yield f"{name} without allow_pickle=False"
    if name in ("yaml.load", "yaml.parse", "yaml.compose"):
        loaders = [dotted(a) for a in [*call.args[1:2], *(k.value for k in call.keywords)]]
        if not set(loaders) & SAFE_LOADERS:
            yield f"{name} without a safe loader"
    if is_true(keyword(call, "shell")):
        yield f"{name} with shell"
    for word in ("verify", "check_hostname"):
        value = keyword(call, word)
        if isinstance(value, ast.Constant) and value.value is False:
            yield f"{name} with {word}=False"
    if last in ("urlopen", "urlretrieve", "open_url") or name.startswith(("requests.", "httpx.")):
        yield f"{name}: downloads belong to rungs.data.sources"
    if last in ("extractall", "extract", "unpack_archive"):
        yield f"{name}: archives are read in memory, member by member"
    if last == "attrgetter" or (last == "import_module" and not _is_registry(call)):
        yield f"{name} of {ast.unparse(call)}"


def _is_registry(call: ast.Call) -> bool:
    """Modules are imported by name from registries in the source alone; a test below looks at these."""
    return len(call.args) == 1 and not call.keywords


def wrongs(source: str, name: str) -> list[str]:
    """Everything in a Python source that is not allowed, with its line."""
    found = []
    for node in ast.walk(ast.parse(source, name)):
        problems: list[str] = []
        if isinstance(node, ast.Import):
            problems = [a.name for a in node.names if a.name.partition(".")[0] in PICKLES]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            imported = {f"{module}.{a.name}" for a in node.names}
            problems = [module] if module.partition(".")[0] in PICKLES else []
            problems += sorted(imported & CALLS)
        elif isinstance(node, ast.Call):
            problems = list(wrongs_of_call(node))
        elif isinstance(node, ast.Attribute) and node.attr == "CERT_NONE":
            problems = ["CERT_NONE"]
        found += [f"{name}:{getattr(node, 'lineno', 0)}: {problem}" for problem in problems]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_is_read_is_run(path: Path) -> None:
    assert wrongs(path.read_text(encoding="utf-8"), path.name) == []


@pytest.mark.parametrize(
    "line",
    [
        *("import pickle", "from joblib import load", "import shelve as s", "eval(x)", "exec(x)"),
        *("compile(x, '', 'exec')", "os.system(x)", "from os import system", "torch.load(p)"),
        *("torch.load(p, weights_only=False)", "np.load(p)", "np.load(p, allow_pickle=True)"),
        *("np.load(p, allow_pickle=flag)", "yaml.load(t)", "yaml.load(t, Loader=yaml.Loader)"),
        *(
            "yaml.unsafe_load(t)",
            "subprocess.run(c, shell=True)",
            "subprocess.Popen(c, shell=flag)",
        ),
        *(
            "pd.read_pickle(p)",
            "requests.get(u)",
            "urllib.request.urlopen(u)",
            "x.verify_mode = ssl.CERT_NONE",
        ),
        *("get(u, verify=False)", "archive.extractall(p)", "import_module(a, b)"),
    ],
)
def test_the_look_notices(line: str) -> None:
    assert wrongs(line, "x")


@pytest.mark.parametrize(
    "line",
    [
        *(
            "yaml.load(t, _StrictLoader)",
            "torch.load(p, weights_only=True)",
            "model.eval()",
            "re.compile(p)",
        ),
        *("np.load(p, allow_pickle=False)", "subprocess.run([a, b], check=True)", "store.load(p)"),
    ],
)
def test_the_look_allows(line: str) -> None:
    assert not wrongs(line, "x")


def test_modules_that_are_imported_by_name_are_the_registries() -> None:
    """A configuration names a model, a figure, a table; the module is the registry's."""
    from rungs.claims import DOCUMENTS
    from rungs.data import DATASETS
    from rungs.figures import FIGURES
    from rungs.models import MODELS
    from rungs.tables import TABLES

    named = [
        entry.module for registry in (DATASETS, FIGURES, TABLES) for entry in registry.values()
    ]
    named += [entry.location.partition(":")[0] for entry in MODELS.values()]
    named += [entry.evaluator for entry in MODELS.values() if entry.evaluator]
    named += [entry.cost for entry in MODELS.values()]
    named += list(DOCUMENTS.values())
    assert all(name.startswith("rungs.") for name in named)
    for hostile in ("os:system", "../x", "rungs.models.vae:VAE"):
        with pytest.raises(ConfigError):
            validate(
                merge(
                    configuration.layer([ROOT / "config" / "smoke.yaml"]),
                    {"variants": {"vae": {"model": hostile}}},
                )
            )


# --- shell commands of the rules -----------------------------------------------------------------


def commands(path: Path) -> Iterator[str]:
    """The text of every ``shell:`` of a file, written there or named by a constant of the file."""
    text = path.read_text(encoding="utf-8")
    constants = dict(re.findall(r"^([A-Z]+) = (\((?:\n .*)+\n\))", text, re.M))
    for found in re.finditer(r"^( +)shell:\s*((?:\n?\1 +.*)+)", text, re.M):
        written = found[2].strip()
        yield str(ast.literal_eval(constants.get(written, f"({written})")))


def test_rules_have_commands() -> None:
    """The command of every rule is found; a rule made by ``use rule`` has that of another."""
    for path in RULES[2:]:
        rules = re.findall(r"^rule \w+:", path.read_text(encoding="utf-8"), re.M)
        assert len(list(commands(path))) == len(rules), path.name
    assert sum(len(list(commands(path))) for path in RULES) == 16


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_commands_quote_what_they_interpolate(path: Path) -> None:
    """No configuration in a command, and what is interpolated is quoted."""
    for command in commands(path):
        for name in re.findall(r"(?<!\{)\{([^{}]+)\}(?!\})", command):
            assert name.endswith(":q"), f"{path.name}: {{{name}}} in {command!r}"
            assert "config" not in name
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^\s*(run|script|notebook|wrapper):", text, re.M)
    assert not re.search(r"\bshell\(", text)


def test_wildcards_are_constrained_to_plain_names() -> None:
    """Of every wildcard in a command there is a constraint, which no shell character passes."""
    common = (ROOT / "workflow" / "rules" / "common.smk").read_text()
    block = re.search(r"^wildcard_constraints:\n((?:    .*\n)+)", common, re.M)
    assert block is not None
    constrained = set(re.findall(r"^    (\w+)=", block[1], re.M))
    text = "".join(command for path in RULES for command in commands(path))
    assert set(re.findall(r"\{wildcards\.(\w+):q\}", text)) <= constrained
    config = configuration.load([ROOT / "config" / "paper.yaml"])
    from rungs.data import catalogue
    from rungs.figures import FIGURES
    from rungs.tables import TABLES

    names = [*catalogue(config), *config["variants"], *FIGURES, *TABLES, config["profile"]]
    for name in names:
        assert shlex.quote(name) == name, name
    for run in runs(config):
        assert shlex.quote(run.path) == run.path


HOSTILE_NAMES = [
    "a;touch x",
    "$(touch x)",
    "a b",
    "a\nb",
    "a\n",
    "..",
    "a/b",
    "-rf",
    "'",
    '"',
    "`x`",
    "*",
    "{log}",
    "é",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_that_a_shell_reads_are_refused(name: str, smoke_config: dict[str, Any]) -> None:
    """As a profile, a variant, a data set, a document, in a grid, and as part of a run."""
    grid = smoke_config["experiments"]["ladder"][0]
    for over in (
        {"profile": name},
        {"variants": {name: {"model": "vae"}}},
        {"datasets": {name: {"images": "x"}}},
        {"experiments": {name: [grid]}},
        {"experiments": {"ladder": [grid | {"variants": [name]}]}},
        {"experiments": {"ladder": [grid | {"datasets": [name]}]}},
    ):
        with pytest.raises(ConfigError):
            validate(merge(smoke_config, over))
    if name not in ("é", "-rf"):  # names that there might be, but are not known
        with pytest.raises(ConfigError):
            Run.parse(f"mnist5k/{name}/depth1/seed0")


# --- downloads -----------------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    """A server that sends too much, elsewhere, or the wrong thing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        if self.path == "/large":
            with_suppressed = bytes(2**16)
            try:
                for _ in range(2**12):
                    self.wfile.write(with_suppressed)
            except OSError:
                return
        else:
            self.wfile.write(b"content")

    def log_message(self, format: str, *args: Any) -> None:
        return


@contextmanager
def server(patch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address that stands for one over TLS: the opener below leads it to a server of this machine."""
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    build = sources.urllib.request.build_opener

    class Plain:
        def open(self, url: str, timeout: float) -> Any:
            plain = url.replace("https://here", f"http://127.0.0.1:{web.server_port}")
            return build().open(plain, timeout=timeout)

    patch.setattr(sources.urllib.request, "build_opener", lambda *handlers: Plain())
    try:
        yield "https://here"
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


def test_downloads_are_limited_and_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(monkeypatch) as address:
        with pytest.raises(DataError, match=r"/large: .*larger than 1000 bytes"):
            download(f"{address}/large", tmp_path / "large", 1000)
        with pytest.raises(DataError, match=r"checksum .*it is not kept"):
            download(f"{address}/x", tmp_path / "x", 1000, "0" * 64)
        assert list(tmp_path.iterdir()) == []
        found = download(f"{address}/x", tmp_path / "x", 1000, sources.sha256(b"content"))
        assert found.read_bytes() == b"content"


@pytest.mark.parametrize(
    "url", ["http://x/y", "ftp://x/y", "file:///etc/passwd", "HTTPS-x", "//x/y"]
)
def test_other_addresses_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="over TLS"):
        download(url, tmp_path / "x", 10)


def test_a_server_cannot_send_away_from_tls() -> None:
    handler = sources._OnlyTls()
    request = Request("https://x/y")
    assert handler.redirect_request(request, None, 302, "", {}, "https://z/") is not None
    for elsewhere in ("http://x/y", "ftp://x/y", "file:///etc/passwd"):
        with pytest.raises(URLError, match="not over TLS"):
            handler.redirect_request(request, None, 302, "", {}, elsewhere)


def test_the_default_context_verifies_certificates() -> None:
    import ssl

    context = ssl.create_default_context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_every_source_is_pinned_and_limited() -> None:
    """SHA-256 of all that is downloaded; of chardata.mat, which is not to be had here, Git's blob id."""
    assert cifar10.URL.startswith("https://")
    assert len(cifar10.SHA256) == 64
    assert mnist.mirror().startswith("https://")
    assert {len(digest) for digest in (*mnist.ARCHIVES.values(), *mnist.FILES.values())} == {64}
    assert omniglot28.address().startswith("https://")
    assert {len(d) for d in (*omniglot28.DRAWINGS.values(), *omniglot28.FILES.values())} == {64}
    assert omniglot.URL.startswith("https://")
    assert len(omniglot.BLOB) == 40
    limits = [m.MAX_BYTES for m in (cifar10, mnist, omniglot, omniglot28)]
    assert max(limits) <= 200_000_000
    for module in (cifar10, mnist, omniglot, omniglot28):
        text = Path(str(module.__file__)).read_text()
        calls = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call)]
        assert any(dotted(call.func).endswith("download") for call in calls)
    for path in SOURCES:
        if path.name != "sources.py":
            assert "urllib.request" not in path.read_text(), path


# --- where is written ----------------------------------------------------------------------------

#: runs a verb and tells every path that it opened to write, made, renamed, linked or removed
DRIVER = """
import os, sys
from pathlib import Path
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
EVENTS = {"os.mkdir": [0], "os.rename": [0, 1], "os.remove": [0], "os.rmdir": [0], "os.link": [0, 1],
          "os.symlink": [1], "os.truncate": [0], "os.chmod": [0], "os.utime": [0], "shutil.move": [0, 1]}

def hook(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if isinstance(path, int) or not (flags & WRITING):
            return
        paths = [path]
    elif event in EVENTS:
        paths = [arguments[i] for i in EVENTS[event]]
    else:
        return
    for path in paths:
        if not isinstance(path, int):
            os.write(log, os.fsencode(os.path.abspath(os.fspath(path))) + b"\\0")

sys.dont_write_bytecode = True
sys.addaudithook(hook)
from rungs.cli import main
for step in sys.argv[2:]:
    try:
        main([*step.split(), "--config", "mine.yaml"])
    except SystemExit as stopped:
        if stopped.code:
            raise
"""
STEPS = [
    *("prepare mnist5k", "train mnist5k/vae/depth1/seed0", "evaluate mnist5k/vae/depth1/seed0"),
    *("calibrate", "figure likelihood_calibration", "table loglik"),
]


def test_nothing_is_written_elsewhere(tmp_path: Path) -> None:
    """Every path that Python opens to write while a run is made, from its data to a figure and a table.
    HDF5, safetensors and Pillow write under names that `rungs.storage.atomic` has made: what is there in
    the end is looked at, too."""
    home, place = tmp_path / "home", tmp_path / "place"
    for folder in (home, place, tmp_path / "tmp"):
        folder.mkdir()
    (place / "mine.yaml").write_text(
        "profile: mine\n"
        "experiments: {ladder: [{datasets: [mnist5k], variants: [vae], depths: [1], seeds: [0]}]}\n"
        "network: {latent_sizes: [4], hidden_sizes: [8]}\n"
        "training: {epochs: 1, warm_up_epochs: 1}\n"
        "evaluation: {samples: 2, images: 50, train_images: 50, unit_samples: 2}\n"
        "calibration: {images: 5, samples: 10}\n"
    )
    (place / "driver.py").write_text(DRIVER)
    log = tmp_path / "log"
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(tmp_path / "tmp"),
        "PYTHONPATH": str(ROOT / "src"),
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",
    }
    before = {path: path.stat().st_mtime_ns for path in (ROOT / "src").rglob("*.py")}
    done = subprocess.run(
        [sys.executable, "driver.py", str(log), *STEPS],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = {Path(path.decode()) for path in log.read_bytes().split(b"\0") if path}
    allowed = (place / "results", tmp_path / "tmp")
    caches = (home / ".cache", home / ".config")  # of matplotlib and torch
    strange = [
        path
        for path in written
        if not any(path.is_relative_to(folder) for folder in (*allowed, *caches))
        and path != Path("/dev/null")
    ]
    assert strange == []
    assert any(path.is_relative_to(place / "results" / "mine") for path in written)
    assert sorted(p.name for p in place.iterdir()) == ["driver.py", "mine.yaml", "results"]
    assert before == {path: path.stat().st_mtime_ns for path in (ROOT / "src").rglob("*.py")}
    # nothing half-made is left behind
    assert not list((place / "results").rglob("*.part*"))
    assert not list((place / "results").rglob(".lock*"))
