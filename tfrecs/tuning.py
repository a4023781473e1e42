"""Search of a model's arguments: trials on a validation split, the bad ones broken off early."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras

from tfrecs import checks
from tfrecs.datasets import Tables
from tfrecs.evaluation import Results, Split, plots
from tfrecs.evaluation.results import LOWER_IS_BETTER, Table
from tfrecs.features import FeatureTransform
from tfrecs.recipes import Range as Range
from tfrecs.recipes import Recipe, Training, TrainingOptions, recipe
from tfrecs.recipes import Space as Space

_RUNGS = (0.25, 0.5)  # shares of the epochs at which a trial may be broken off


@dataclass(frozen=True)
class Trial:
    """One training: what was set, how good it was, how long it took.

    Args:
        values: What was set, by name.
        score: The main metric on the validation events; `None` if it was broken off or failed.
        state: "done", "broken off" or "failed".
        seconds: Time of training and judging.
        results: The leaderboard of the validation events; `None` unless done.
        error: Why it failed; empty else.
    """

    values: Mapping[str, Any]
    score: float | None
    state: str
    seconds: float
    results: Results | None = None
    error: str = ""


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Args:
        model: Name of the model.
        metric: The main metric.
        options: The best trial's options, to train with on all of the training events.
        trials: All trials, in order.
    """

    model: str
    metric: str
    options: TrainingOptions
    trials: list[Trial] = field(default_factory=list)

    @property
    def best(self) -> Trial:
        """The best trial."""
        done = [trial for trial in self.trials if trial.score is not None]
        sign = -1 if self.metric in LOWER_IS_BETTER else 1
        return max(done, key=lambda trial: sign * (trial.score or 0.0))

    def table(self) -> Table:
        """Returns a row a trial, the best one marked, for any printer."""
        names = list(self.trials[0].values)
        rows = []
        for number, trial in enumerate(self.trials):
            score = trial.state if trial.score is None else f"{trial.score:.4f}"
            mark = " *" if trial is self.best else ""
            values = [_short(trial.values[name]) for name in names]
            rows.append([f"{number}{mark}", *values, score, f"{trial.seconds:.1f}"])
        return Table(["trial", *names, self.metric, "seconds"], rows)

    def remarks(self) -> list[str]:
        """Returns what the best trial's leaderboard says, such as that a baseline is better."""
        return self.best.results.remarks() if self.best.results else []

    def plot(self) -> str:
        """Draws the score of each trial and the best so far, as SVG."""
        return plots.search([trial.score for trial in self.trials], self.metric)


def tune(
    model: str,
    tables: Tables,
    split: Split,
    *,
    trials: int = 20,
    protocol: str = "auto",
    space: Space | None = None,
    ks: tuple[int, ...] = (10, 20, 100),
    seed: int = 0,
    on_trial: Callable[[Trial], None] = lambda trial: None,
    **options: Any,
) -> Tuned:
    """Searches the arguments of a model on a part of the training events; the test is not read.

    By Optuna: a tree-structured Parzen estimator proposes, and a trial whose main metric at a
    quarter or a half of its epochs is below the median of the earlier ones is broken off.

    Args:
        model: Name of a model that has a recipe.
        tables: The data set.
        split: Training and test events; the validation events are taken out of the training.
        trials: Number of trainings. Defaults to 20.
        protocol: How validation events are held out, as for the test. Defaults to "auto".
        space: What to search, by name of an option or an argument; `None` for the model's own.
        ks: Cut-offs of the metrics. Defaults to (10, 20, 100).
        seed: Of the search and of the trainings. Defaults to 0.
        on_trial: Called after each trial. Defaults to nothing.
        **options: Options that are not searched, as `Recipe.options` takes them.

    Returns:
        The trials, and the options of the best one.

    Raises:
        ImportError: Optuna is not installed.
        ValueError: An argument is out of range, or no trial came to its end.
    """
    optuna = _optuna()
    checks.positive("trials", trials)
    chosen = recipe(model)
    space = dict(chosen.space if space is None else space)
    if not space:
        raise ValueError(checks.expected("space", "one name to search or more", space))
    inner_tables = replace(tables, events=split.train, positive=None)
    inner = chosen.task.split(inner_tables, protocol, seed)
    tables = chosen.prepare(tables, inner)
    spec = chosen.features(tables.spec)
    transform = FeatureTransform(spec).adapt(tables.queries, tables.candidates, split.train)
    base = chosen.options(seed=seed, **options)
    found: list[Trial] = []
    metric: list[str] = []

    def objective(proposed: Any) -> float:
        values = {name: _proposed(proposed, name, kind) for name, kind in space.items()}
        start, results, state, error = time.perf_counter(), None, "done", ""
        run = _Candidate(chosen, transform, tables, inner, _with(chosen, base, values))
        try:
            results = run.judged(proposed, optuna.TrialPruned, ks)
            value = results[chosen.name, results.metrics[0]]
            if value != value:
                raise ValueError(f"The metric is NaN. {' '.join(results.warnings)}")
            metric[:] = results.metrics[:1]
            return value
        except optuna.TrialPruned:
            state = "broken off"
            raise
        except ValueError as fault:  # such as a loss that is not finite
            state, error = "failed", str(fault)
            raise optuna.TrialPruned from fault
        finally:
            score = None
            if results is not None and state == "done":
                score = results[chosen.name, metric[0]]
            seconds = time.perf_counter() - start
            found.append(Trial(values, score, state, seconds, results, error))
            on_trial(found[-1])

    study = optuna.create_study(
        direction="minimize" if chosen.task.name == "rating" else "maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
    )
    study.optimize(objective, n_trials=trials)
    if not metric:
        raise ValueError(
            f"None of the {trials} trials of {model} came to its end: {found[-1].error}"
        )
    tuned = Tuned(chosen.name, metric[0], base, found)
    return replace(tuned, options=_with(chosen, base, tuned.best.values))


@dataclass(frozen=True)
class _Candidate:
    """A training of the search, and its judgement on the validation events."""

    recipe: Recipe
    transform: FeatureTransform
    tables: Tables
    split: Split
    options: TrainingOptions
    model: Any = None

    def judged(self, proposed: Any, pruned: type[Exception], ks: tuple[int, ...]) -> Results:
        """Trains, breaking off where Optuna says so, and judges."""

        def report(model: Any, epoch: int) -> None:
            results = self.recipe.task.judge(replace(self, model=model), ks, self.options.seed)
            proposed.report(results[self.recipe.name, results.metrics[0]], epoch)
            if proposed.should_prune():
                raise pruned

        rungs = {max(1, round(share * self.options.epochs)) for share in _RUNGS}
        callback = _AtEpochs(rungs - {self.options.epochs}, report)
        training = Training(
            self.recipe.model,
            self.transform,
            self.split.train,
            self.tables,
            self.options,
            lambda steps: [callback],
        )
        model, _ = self.recipe.fit(training)
        return self.recipe.task.judge(replace(self, model=model), ks, self.options.seed)


class _AtEpochs(keras.callbacks.Callback):
    """Calls a function with the model after some epochs."""

    def __init__(self, epochs: set[int], function: Callable[[Any, int], None]) -> None:
        super().__init__()
        self.epochs = epochs
        self.function = function

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Calls the function where it is time."""
        if epoch + 1 in self.epochs:
            self.function(self.model, epoch + 1)


def _with(chosen: Recipe, base: TrainingOptions, values: Mapping[str, Any]) -> TrainingOptions:
    """Returns options with the values: those of no option are arguments of the model."""
    fields = {f for f in TrainingOptions.__dataclass_fields__ if f not in ("model", "arguments")}
    own = {name: value for name, value in values.items() if name in fields}
    arguments = {**base.arguments, **{n: v for n, v in values.items() if n not in fields}}
    chosen.options(arguments=arguments)  # names the wrong ones
    return replace(base, **own, arguments=arguments)


def _proposed(trial: Any, name: str, kind: Range | tuple[Any, ...]) -> Any:
    if isinstance(kind, Range):
        whole = isinstance(kind.low, int) and isinstance(kind.high, int)
        suggest = trial.suggest_int if whole else trial.suggest_float
        return suggest(name, kind.low, kind.high, log=kind.log)
    return trial.suggest_categorical(name, list(kind))


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            "Optuna, which proposes the trials, is not installed. Run `pip install tfrecs[tuning]`."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # on_trial tells
    return optuna


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
