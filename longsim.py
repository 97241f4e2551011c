"""longsim: simulate GPU clusters that run mixture-of-experts language models.

The front door: the `longsim` command and `import longsim`. Names are looked up when they are first used, so that the
core runs without torch and a command loads only what it needs.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import typer

__version__ = "0.1.0"

_COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("simulator.cli:demo", "LongCat-Flash on 128 H800s in a minute: report.html and trace.json."),
    "run": ("simulator.cli:run", "Simulate one step of a scenario and say where the time goes."),
    "compare": ("simulator.compare_command:compare", "Compare a scenario under every combination of varied keys."),
    "whatif": ("simulator.whatif_command:whatif", "Say what a change of machine, model or traffic does, and why."),
    "sweep": ("simulator.sweep_command:sweep", "Run many combinations into a store that survives whatever ends it."),
    "runs": ("simulator.runs_command:runs", "List, filter, compare and export the runs of a store."),
    "plan": ("simulator.plan_command:plan", "Plan a cluster: GPUs, layout and price for a traffic and its targets."),
    "replay": ("simulator.replay_command:replay", "Replay requests on replicas: latencies, goodput, cost, a verdict."),
    "validate": ("validation.cli.validate:validate", "Judge predictions against published and measured figures."),
    "calibrate": ("validation.cli.calibrate:calibrate", "Fit the machines' curves on measured tables."),
    "import": (
        "validation.cli.importing:import_",
        "Bring in measurements: fit a profile of your own, or read profiler traces.",
    ),
    "measure": ("validation.cli.measure:measure", "Time the layers, their kernels and collectives on this machine."),
    "study": ("validation.cli.study:study", "Train small models under LongCat's training laws: curves and a page."),
    "models": ("simulator.cli:models", "List the models."),
    "machines": ("simulator.machine_command:machines", "List the machines, or show one with its sources and fabric."),
    "scenarios": ("simulator.cli:scenarios", "List the shipped scenarios."),
}
_PUBLIC: Mapping[str, str] = {
    "load_profile": "hw_profiles.loader:load_profile",
    "list_profiles": "hw_profiles.loader:list_profiles",
    "load_scenario": "simulator.scenario:load_scenario",
    "list_scenarios": "simulator.scenario:list_scenarios",
    "evaluate": "simulator.evaluate:evaluate",
    "replay": "simulator.serving.replay:replay",
    "serve": "simulator.serving.answer:serve",
    "load_question": "simulator.planner.plan_files:load_question",
    "make_plan": "simulator.planner.make_plan:make_plan",
    "Requests": "workloads.traffic.requests:Requests",
    "open_store": "simulator.store:open_store",
    "on_cluster": "simulator.cluster:on_cluster",
    "Study": "simulator.break_even:Study",
    "overlap_table": "simulator.break_even:overlap_table",
    "break_evens": "simulator.break_even:break_evens",
    "overlap_window": "simulator.break_even:overlap_window",
    "lower": "workloads.lower:lower",
    "simulate": "simulator.simulate:simulate",
    "device_times": "simulator.metrics:device_times",
    "rank_loads": "simulator.balance:rank_loads",
    "balance_over_steps": "simulator.balance:balance_over_steps",
    "zero_expert_study": "simulator.zero_experts:zero_expert_study",
    "critical_path": "simulator.critical_path:critical_path",
    "write_page": "simulator.report.page:write_page",
    "write_machine_page": "simulator.report.machine_page:write_machine_page",
    "write_serving_page": "simulator.report.serving_page:write_serving_page",
    "write_serving_trace": "simulator.report.serving_trace:write_serving_trace",
    "write_plan_page": "simulator.report.plan_page:write_plan_page",
    "write_trace": "simulator.report.timeline_file:write_trace",
    "LanguageModel": "workloads.layers.language_model:LanguageModel",
    "LayerSettings": "workloads.layers.settings:LayerSettings",
    "RoutingRecorder": "workloads.layers.recorder:RoutingRecorder",
    "write_routing_trace": "workloads.routing_trace:write_routing_trace",
    "read_routing_trace": "workloads.routing_trace:read_routing_trace",
    "traffic_of": "workloads.traffic.sources:traffic_of",
    "read_requests": "workloads.traffic.recorded:read_requests",
    "count_parameters": "workloads.zoo:count_parameters",
    "ZOO": "workloads.zoo:ZOO",
    "read_trace": "validation.traces.reader:read_trace",
    "side_by_side": "simulator.report.side_by_side:side_by_side",
    "read_measurements": "validation.measurements:read_measurements",
    "validate_live": "validation.suites.live:validate_live",
    "validate_theory": "validation.suites.theory:theory_rows",
}
__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604 (names resolved by __getattr__)

_EXTRA_OF = {"torch": "torch", "dask": "cluster", "distributed": "cluster", "pyarrow": "parquet"}


def _resolve(target: str) -> Any:  # noqa: ANN401 (whatever stands there)
    module, _, name = target.partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        extra = _EXTRA_OF.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        sys.stderr.write(f"this needs {error.name}, which is not installed; run: pip install 'longsim[{extra}]'\n")
        raise SystemExit(2) from None


def __getattr__(name: str) -> Any:  # noqa: ANN401 (PEP 562)
    if name in _PUBLIC:
        return _resolve(_PUBLIC[name])
    message = f"module 'longsim' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted(__all__)


def _late(name: str) -> Any:  # noqa: ANN401 (as _resolve)
    """The look-up that commands are handed: a public name, when they need it."""
    return __version__ if name == "__version__" else _resolve(_PUBLIC[name])


def _not_chosen(name: str) -> Callable[[], None]:
    def command() -> None:
        message = f"{name} was not loaded"
        raise AssertionError(message)

    return command


def main() -> None:
    """Run the `longsim` command: load the chosen subcommand, only list the others."""
    app = typer.Typer(
        no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich",
        help="Simulate GPU clusters that run mixture-of-experts language models.",
    )  # fmt: skip

    @app.callback(invoke_without_command=True)
    def _root(
        context: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version.")
    ) -> None:
        context.obj = _late
        if version:
            sys.stdout.write(f"longsim {__version__}\n")
            raise typer.Exit

    chosen = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    for name, (target, help_text) in _COMMANDS.items():
        function = _resolve(target) if name == chosen else _not_chosen(name)
        app.command(name, help=help_text)(function)
    app()


if __name__ == "__main__":
    main()
