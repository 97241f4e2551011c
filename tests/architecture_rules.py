"""Rules of the house, read from the syntax trees alone: nothing of the packages is imported.

A fault is one line of text: where, and what is wrong.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

MOST_FILE_LINES, MOST_FUNCTION_LINES = 300, 50


@dataclass(frozen=True, kw_only=True)
class Rules:
    """`layers`: high to low, strangers to each other joined by |, a package stands for all of its modules.
    `blind`: packages that must not know another although it is lower; `plain`: modules that even they may know.
    `only_in`: package of others to where it may be imported. `late`: modules that may resolve names late. `prints`:
    modules that may print."""

    packages: Sequence[str]
    layers: Sequence[str]
    blind: Sequence[tuple[str, str]] = ()
    plain: Sequence[str] = ()
    only_in: Mapping[str, Sequence[str]]
    late: Sequence[str] = ()
    prints: Sequence[str] = ()

    @cached_property
    def level_of(self) -> dict[str, int]:
        return {unit: level for level, line in enumerate(self.layers) for unit in line.split(" | ")}

    def unit(self, module: str) -> str | None:
        return next((name for name in prefixes(module) if name in self.level_of), None)


def prefixes(module: str) -> list[str]:
    words = module.split(".")
    return [".".join(words[:n]) for n in range(len(words), 0, -1)]


def inside(module: str, places: Sequence[str]) -> bool:
    return any(name in places for name in prefixes(module))


@dataclass(frozen=True, kw_only=True)
class Module:
    name: str
    lines: int
    tree: ast.Module
    is_package: bool


def read_modules(root: Path, packages: Sequence[str], top: Sequence[str]) -> dict[str, Module]:
    paths = [path for package in packages for path in sorted((root / package).rglob("*.py"))]
    modules = {}
    for path in [*paths, *(root / f"{name}.py" for name in top)]:
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        text = path.read_text(encoding="utf-8")
        modules[name] = Module(
            name=name, lines=len(text.splitlines()), tree=ast.parse(text), is_package=path.stem == "__init__"
        )
    return modules


def imports(module: Module, known: Mapping[str, Module]) -> Iterator[str]:
    """What a module imports, by full name: `from a import b` is `a.b` where that is a module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                yield deeper if deeper in known else node.module


def faults(root: Path, rules: Rules) -> list[str]:
    top = [unit for unit in rules.level_of if (root / f"{unit}.py").is_file() and "." not in unit]
    modules = read_modules(root, rules.packages, top)
    found = [*cycles(modules)]
    for module in modules.values():
        found += [*direction(module, modules, rules), *strangers(module, modules, rules), *manners(module, rules)]
        found += sizes(module)
    return found


def cycles(modules: Mapping[str, Module]) -> Iterator[str]:
    graph = {name: [target for target in imports(module, modules) if target in modules and target != name]
             for name, module in modules.items()}  # fmt: skip
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"a cycle: {' -> '.join(error.args[1])}"


def direction(module: Module, modules: Mapping[str, Module], rules: Rules) -> Iterator[str]:
    ours = [target for target in imports(module, modules) if target.split(".")[0] in (*rules.packages, *rules.level_of)]
    if module.is_package and module.name in rules.packages:
        yield from (f"{module.name}: a package's __init__ imports nothing, this one {target}" for target in ours)
        return
    unit = rules.unit(module.name)
    if unit is None:
        yield f"{module.name} stands on no line of the layers"
        return
    for target in ours:
        other = rules.unit(target)
        if other is None:
            yield f"{module.name} imports {target}, which stands on no line of the layers"
        elif other != unit and rules.level_of[other] <= rules.level_of[unit]:
            yield f"{module.name} imports {target}, which is not below it"


def strangers(module: Module, modules: Mapping[str, Module], rules: Rules) -> Iterator[str]:
    targets = sorted(set(imports(module, modules)))
    for high, low in rules.blind:
        for target in targets:
            if inside(module.name, [high]) and inside(target, [low]) and not inside(target, rules.plain):
                yield f"{module.name} imports {target}: {high} knows nothing of {low}"
    for library, places in rules.only_in.items():
        if any(inside(target, [library]) for target in targets) and not inside(module.name, places):
            yield f"{module.name} imports {library}, which belongs in {', '.join(places)}"


def manners(module: Module, rules: Rules) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield f"{module.name}:{node.lineno}: a relative import"
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            yield f"{module.name}:{node.lineno}: a star import"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inner = (n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom))
            yield from (f"{module.name}:{n.lineno}: an import inside a function" for n in inner)
        called = called_name(node)
        if called in {"import_module", "__import__"} and module.name not in rules.late:
            yield f"{module.name}:{node.lineno}: a late import; only {', '.join(rules.late)} may"
        if called == "print" and module.name not in rules.prints:
            yield f"{module.name}:{node.lineno}: a print"


def called_name(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) and function.attr == "import_module" else ""


def sizes(module: Module) -> Iterator[str]:
    if module.lines > MOST_FILE_LINES:
        yield f"{module.name}: {module.lines} lines; at most {MOST_FILE_LINES}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MOST_FUNCTION_LINES:
                yield f"{module.name}.{node.name}: {length} lines; at most {MOST_FUNCTION_LINES}"
