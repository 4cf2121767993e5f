"""Write into dvc.yaml which code each stage depends on: ``make deps``.

DVC runs a stage again when a file changes that the stage names as a dependency, and knows nothing of Python's imports.
So every module that a stage imports, directly or through others, is listed. `stages.__main__`, which starts stages and
shows their errors, is imported by none of them: it can't change what comes of a stage.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
PACKAGES = ("seepseg", "stages")


def main() -> None:
    """Bring dvc.yaml up to date."""
    path = ROOT / "dvc.yaml"
    yaml = YAML()
    yaml.width = 1000
    pipeline = yaml.load(path.read_text(encoding="utf-8"))
    for name, stage in pipeline["stages"].items():
        others = [dep for dep in stage["deps"] if not is_code(dep)]
        stage["deps"][:] = [*import_closure(name), *others]
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(pipeline, file)


def is_code(dependency: str) -> bool:
    """Whether a dependency is a module of the project."""
    return dependency.endswith(".py")


def import_closure(stage: str) -> list[str]:
    """All modules that a stage imports, itself first, as paths below the root of the project."""
    todo, seen = ["stages", f"stages.{stage}"], set[Path]()
    while todo:
        path = module_file(todo.pop())
        if path is not None and path not in seen:
            seen.add(path)
            todo += imported_modules(path)
    own = f"stages/{stage}.py"
    return [own, *sorted({path.relative_to(ROOT).as_posix() for path in seen} - {own})]


def imported_modules(path: Path) -> Iterator[str]:
    """Names of the project's modules that a file imports, with the packages that contain them.

    Raises:
        ValueError: the import is relative, which hides what is imported.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.module is None or node.level:
                raise ValueError(f"{path}: expected absolute imports, found a relative one in line {node.lineno}")
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] in PACKAGES:
                yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def module_file(name: str) -> Path | None:
    """The file of a module or package; None for a name that is neither."""
    base = ROOT / name.replace(".", "/")
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


if __name__ == "__main__":
    main()
