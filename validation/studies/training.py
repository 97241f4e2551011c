"""The common training loop: a small ScMoE language model under a plan's laws, one step at a time.

B sequences, S tokens of each, D hidden, E experts of the pool, W vocabulary.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from validation.studies.observe import WHOLE, Where, observe_activations, observe_routing, observe_variances
from validation.studies.plan import Plan
from validation.studies.text import CLASSES, DOMAINS, Batch, held_out_batch, training_batch
from workloads.layers.balance_loss import device_balance_loss, group_of_experts
from workloads.layers.budget import BudgetController, ControlLaw, add_over_ranks, choice_counts
from workloads.layers.growth import stack_layers, stack_moments
from workloads.layers.hidden_z_loss import hidden_z_loss
from workloads.layers.language_model import LanguageModel
from workloads.layers.optimiser import adamw, gradient_rms, gradient_rms_range, initialise_transferred
from workloads.layers.recorder import RoutingRecorder
from workloads.layers.router import Router, Routing
from workloads.layers.router_health import alpha_for_ratio, gradient_ratio, probability_gradient
from workloads.layers.routing_watch import RoutingWatch
from workloads.routing_trace import RoutingTrace
from workloads.zoo import activated_parameters

_HELD_OUT_BATCHES = 8


class Training:
    """Model, optimiser and controllers after `step` steps of `plan`; the same seed takes the same steps."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan, self.seed, self.step, self.alpha = plan, seed, 0, plan.alpha
        self._build(half=plan.grows_at > 0)
        initialise_transferred(
            self.model, plan.initial_std, plan.width_factor, torch.Generator().manual_seed(10_000 + seed)
        )

    def _build(self, *, half: bool) -> None:
        plan = self.plan
        self.model = LanguageModel(plan.spec(half=half), plan.settings())
        self.optimiser = adamw(self.model, plan.learning_rate, width_factor=plan.width_factor, epsilon=plan.epsilon)
        self.rates = [float(group["lr"]) for group in self.optimiser.param_groups]
        self.routers = [part for part in self.model.modules() if isinstance(part, Router)]
        self._control()

    def _control(self) -> None:
        law = ControlLaw(step_size=self.plan.step_size, decay_batches=self.plan.decay_batches)
        mean = self.plan.mean_ffn_experts * self.plan.n_splits
        self.controllers = [BudgetController(router, law, mean) for router in self.routers]

    def advance(self) -> dict[Where, float]:
        """Take one step and return what was seen in it."""
        if self.plan.grows_at and self.step == self.plan.grows_at:
            self._grow()
        plan = self.plan
        batch = training_batch(plan.mix, plan.n_sequences, plan.n_tokens, self.seed, self.step)
        ids_BS, next_BS = _tensors(batch)
        with RoutingWatch(self.model) as watch:
            hidden_BSD = self.model.hidden(ids_BS)
        language_loss = _loss(self.model, hidden_BSD, next_BS)
        balance = [self._balance_loss(routing) for routing in watch.routings] if self._balances() else []
        seen = {(WHOLE, "", "loss"): float(language_loss.detach()), **observe_activations(hidden_BSD)}
        seen |= observe_routing(plan, ids_BS, watch.routings, self.routers)
        if balance and self.step % plan.record_every == 0:
            seen |= self._gradient_ratios(language_loss, balance, watch.routings)
        loss = language_loss + plan.z_weight * hidden_z_loss(hidden_BSD)
        if balance:
            loss = loss + self.alpha * torch.stack(balance).sum()
        self._descend(loss)
        seen |= self._activated(seen)
        seen |= _gradient_sizes(self.model)
        if plan.step_size:
            for controller, router, routing in zip(self.controllers, self.routers, watch.routings, strict=True):
                controller.update(router, add_over_ranks(choice_counts(routing.ids_TK, len(router.bias_E))))
        self.step += 1
        return seen

    def _activated(self, seen: Mapping[Where, float]) -> dict[Where, float]:
        """Parameters that a token activates, mean over all tokens and over those of each class in the batch."""
        n_layers = len(self.routers)
        spec = self.plan.spec(half=n_layers < self.plan.n_layers)
        activated: dict[Where, float] = {}
        for of in ("", *CLASSES):
            if (0, of, "ffn_mean") in seen:
                mean_ffn = float(np.mean([seen[layer, of, "ffn_mean"] for layer in range(n_layers)]))
                activated[WHOLE, of, "activated_parameters"] = activated_parameters(spec, mean_ffn)
        return activated

    def _grow(self) -> None:
        shallow, kept, half = self.model, self.optimiser, self.plan.n_layers // 2
        self._build(half=False)
        self.model.load_state_dict(stack_layers(shallow.state_dict(), half, 2))
        stack_moments(shallow, kept, self.model, self.optimiser, n_layers=half, times=2)
        self._control()  # from the biases of the stacked routers

    def _balances(self) -> bool:
        return bool(self.plan.alpha or self.plan.gradient_ratio)

    def _balance_loss(self, routing: Routing) -> Tensor:
        plan, shape = self.plan, (self.plan.n_sequences, self.plan.n_tokens, -1)
        group_E = group_of_experts(
            self.routers[0].n_routed_experts, plan.n_zero_experts * plan.n_splits, plan.n_devices
        )
        return device_balance_loss(
            routing.scores_TE.view(shape), routing.ids_TK.view(shape), group_E, n_devices=plan.n_devices,
            mean_ffn_experts=plan.mean_ffn_experts * plan.n_splits,
        )  # fmt: skip

    def _gradient_ratios(
        self, language_loss: Tensor, balance: Sequence[Tensor], routings: Sequence[Routing]
    ) -> dict[Where, float]:
        """R_g of every layer; chooses alpha anew where the plan asks for a ratio."""
        pairs = [
            (probability_gradient(loss, routing.scores_TE), probability_gradient(language_loss, routing.scores_TE))
            for loss, routing in zip(balance, routings, strict=True)
        ]
        if self.plan.gradient_ratio:
            self.alpha = min(alpha_for_ratio(self.plan.gradient_ratio, *pair) for pair in pairs)
        ratios = {(layer, "", "gradient_ratio"): gradient_ratio(self.alpha, *pair) for layer, pair in enumerate(pairs)}
        return {**ratios, (WHOLE, "", "alpha"): self.alpha}

    def _descend(self, loss: Tensor) -> None:
        share = self.plan.rate_share(self.step)
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * share
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()

    @torch.no_grad()
    def evaluate(self) -> dict[Where, float]:
        """Return the loss on held-out text, altogether and by domain [nats per byte], and what the plan watches."""
        plan, losses = self.plan, list[Tensor]()
        batches = [held_out_batch("mixed", plan.n_sequences, plan.n_tokens, i) for i in range(_HELD_OUT_BATCHES)]
        for batch in batches:
            ids_BS, next_BS = _tensors(batch)
            logits_BSW = self.model(ids_BS)
            losses.append(functional.cross_entropy(logits_BSW.mT, next_BS, reduction="none").mean(dim=1))
        loss_B = torch.cat(losses)
        domain_B = torch.cat([torch.from_numpy(batch.domain_B) for batch in batches])
        seen: dict[Where, float] = {(WHOLE, "", "held_out_loss"): float(loss_B.mean())}
        for number, name in enumerate(DOMAINS):
            if (of_domain_B := domain_B == number).any():
                seen[WHOLE, name, "held_out_loss"] = float(loss_B[of_domain_B].mean())
        if plan.watches_variance:
            seen |= observe_variances(self.model, _tensors(batches[0])[0])
        return seen

    @torch.no_grad()
    def record(self, n_batches: int) -> RoutingTrace:
        """Return the choices on `n_batches` held-out batches, composed as the plan's own, one step each."""
        with RoutingRecorder(self.model) as recorder:
            for number in range(n_batches):
                batch = held_out_batch(self.plan.mix, self.plan.n_sequences, self.plan.n_tokens, 1000 + number)
                self.model(_tensors(batch)[0])
        return recorder.trace()

    def state(self) -> dict[str, Any]:
        """Return all that a later `restore` needs to go on as if nothing had happened."""
        return {
            "step": self.step, "alpha": self.alpha, "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(), "controllers": [one.state_dict() for one in self.controllers],
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `state` was kept."""
        self.step, self.alpha = state["step"], state["alpha"]
        self._build(half=0 < self.step <= self.plan.grows_at)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        for controller, kept in zip(self.controllers, state["controllers"], strict=True):
            controller.load_state_dict(kept)


def _tensors(batch: Batch) -> tuple[Tensor, Tensor]:
    ids_BS = torch.from_numpy(batch.ids_BS)
    return ids_BS[:, :-1], ids_BS[:, 1:]


def _loss(model: LanguageModel, hidden_BSD: Tensor, next_BS: Tensor) -> Tensor:
    logits_BSW: Tensor = model.head(model.norm(hidden_BSD))
    return functional.cross_entropy(logits_BSW.flatten(0, 1), next_BS.flatten())


def _gradient_sizes(model: LanguageModel) -> dict[Where, float]:
    """RMS of the gradients that the optimiser is given: of all weights together, and the range of single parameters."""
    least, most = gradient_rms_range(model)
    sizes = {"gradient_rms": gradient_rms(model), "gradient_rms_least": least, "gradient_rms_most": most}
    return {(WHOLE, "", name): size for name, size in sizes.items()}
