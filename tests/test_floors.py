"""No import runs upward, the wings never meet, nothing goes in circles; and importing is light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "normalizer": {"normalizer"},
    "connectors": {"connectors", "normalizer"},
    "engine": {"engine", "normalizer"},
    "gateway": {"gateway", "connectors", "engine", "normalizer"},
}
IMPURE = {"time", "random", "secrets", "os", "socket", "asyncio", "subprocess", "urllib.request", "httpx", "pathlib"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(file: Path) -> set[str]:
    """Dotted names of what a file imports, whole modules where it takes names of one."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_import_runs_upward_or_across(package: str) -> None:
    ours = set(MAY_IMPORT)
    wrong = [
        f"{name(file)} imports {target}"
        for file in modules(package)
        for target in imports(file)
        if (top := target.partition(".")[0]) in ours and top not in MAY_IMPORT[package]
    ]
    assert wrong == []


def test_nothing_imports_in_a_circle() -> None:
    files = {name(file): file for package in MAY_IMPORT for file in modules(package)}
    needs = {module: {t for t in imports(file) if t in files and t != module} for module, file in files.items()}
    assert circle(needs) == []


def circle(needs: dict[str, set[str]]) -> list[str]:
    """One circle of a graph, empty if there is none."""
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(needs[module]):
            if found := walk(target, [*path, module]):
                return found
        done.add(module)
        return []

    return next((found for module in sorted(needs) if (found := walk(module, []))), [])


def test_a_circle_would_be_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_the_engine_and_the_canon_touch_no_clock_network_or_disk() -> None:
    wrong = [f"{name(file)} imports {target}" for file in modules("engine") for target in imports(file) & IMPURE]
    assert wrong == []


@pytest.mark.parametrize("package", ["connectors", "engine", "normalizer", "gateway"])
def test_importing_a_package_tries_to_load_neither_spacy_nor_vosk(package: str) -> None:
    """Every module of it, in a fresh interpreter that notes each attempt, whether they are installed or not."""
    listed = [name(file) for file in modules(package) if file.name != "__main__.py" and "migrations" not in file.parts]
    program = f"""
import sys, importlib
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('spacy', 'vosk', 'torch', 'av'):
            raise SystemExit('tried to import ' + name)
sys.meta_path.insert(0, Watch())
for module in {listed!r}:
    importlib.import_module(module)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_packages_re_export_nothing() -> None:
    for package in MAY_IMPORT:
        for file in modules(package):
            if file.name == "__init__.py":
                assert [n for n in ast.parse(file.read_text()).body if not isinstance(n, ast.Expr)] == [], file
