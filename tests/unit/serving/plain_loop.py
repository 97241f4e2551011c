"""The scheduler written out plainly: an object per request, every step by itself. The oracle of the fast loop."""

from dataclasses import dataclass


@dataclass
class Job:
    arrival_s: float
    prompt: int
    output: int
    computed: int = 0
    emitted: int = 0
    blocks: int = 0
    decoding: bool = False
    preemptions: int = 0
    admitted_s: float | None = None
    first_s: float | None = None
    end_s: float | None = None

    @property
    def target(self):
        return self.prompt + self.emitted


class PlainGroup:
    """One attention group: who waits, who runs, and its blocks."""

    def __init__(self, knobs, kv_blocks):
        self.knobs, self.free, self.kv_blocks = knobs, kv_blocks, kv_blocks
        self.waiting, self.running = [], []

    def needs(self, job, new):
        return -(-(job.computed + new) // self.knobs.block_tokens) - job.blocks

    def take(self, job, new):
        n = self.needs(job, new)
        job.blocks, self.free = job.blocks + n, self.free - n

    def preempt(self, job):
        self.running.remove(job)
        self.free += job.blocks
        job.blocks = job.computed = 0
        job.decoding = False
        job.preemptions += 1
        self.waiting.insert(0, job)
        self.changed = True

    def room_for_decodes(self):
        """Blocks of the next token of each decode, in the order of admission; the last to be admitted goes first."""
        for job in [job for job in self.running if job.decoding]:
            while job in self.running and self.needs(job, 1) > self.free:
                self.preempt(self.running[-1])
            if job in self.running:
                self.take(job, 1)
        return [job for job in self.running if job.decoding]

    def prompts(self, budget):
        found = []
        for job in [job for job in self.running if not job.decoding]:
            new = min(job.target - job.computed, budget)
            if self.needs(job, new) > self.free:
                self.preempt(job)
                return found
            if new:
                self.take(job, new)
                found.append((job, new))
                budget -= new
        while self.waiting and not self.changed and len(self.running) < self.knobs.max_num_seqs:
            job = self.waiting[0]
            new = min(job.target, budget) if self.knobs.chunked_prefill else job.target
            if new < 1 or (new > budget and found) or self.needs(job, new) > self.free:
                break
            self.running.append(self.waiting.pop(0))
            if job.admitted_s is None:
                job.admitted_s = self.now_s
            self.take(job, new)
            found.append((job, new))
            budget -= new
        return found

    def plan(self, now_s):
        """(decodes, prompts with their new tokens) of the next step."""
        self.now_s, self.changed = now_s, False
        budget = self.knobs.max_batched_tokens
        if self.knobs.mixed_steps:
            decodes = self.room_for_decodes()
            return decodes, self.prompts(budget - len(decodes))
        prompts = self.prompts(budget)
        return ([] if prompts else self.room_for_decodes()), prompts


class PlainLoop:
    """Groups that step together; `step_s` of (decodes, their cached tokens, prompt tokens) of all groups together, and
    of the decodes and cached tokens of the fullest."""

    def __init__(self, jobs, knobs, step_s, kv_blocks, n_groups=1):
        self.jobs, self.step_s = jobs, step_s
        self.coming = sorted(jobs, key=lambda job: job.arrival_s)
        self.groups = [PlainGroup(knobs, kv_blocks) for _ in range(n_groups)]
        self.now_s, self.gaps, self.last_s, self.n_come = 0.0, [], {}, 0

    def run(self):
        while self.coming or any(group.waiting or group.running for group in self.groups):
            if not any(group.waiting or group.running for group in self.groups):
                self.now_s = max(self.now_s, self.coming[0].arrival_s)
            while self.coming and self.coming[0].arrival_s <= self.now_s:
                self.groups[self.n_come % len(self.groups)].waiting.append(self.coming.pop(0))
                self.n_come += 1
            self.step()
            assert all(0 <= group.free <= group.kv_blocks for group in self.groups)
        assert all(group.free == group.kv_blocks for group in self.groups)
        return self.jobs

    def step(self):
        planned = [(group, *group.plan(self.now_s)) for group in self.groups]
        decodes = [job for _, own, _ in planned for job in own]
        prompts = [prompt for _, _, own in planned for prompt in own]
        if not prompts and not decodes:
            return
        alone = len(self.groups) == 1
        fullest = 0 if prompts or alone else max(sum(job.computed for job in own) for _, own, _ in planned)
        self.now_s += self.step_s(
            len(decodes), sum(job.computed for job in decodes), sum(new for _, new in prompts), fullest
        )
        for group, own, chunks in planned:
            for job in own:
                job.computed += 1
                self.token(job, group)
            for job, new in chunks:
                job.computed += new
                if job.computed == job.target:
                    job.decoding = True
                    self.token(job, group)

    def token(self, job, group):
        job.emitted += 1
        if job.emitted == 1:
            job.first_s = self.now_s
        else:
            self.gaps.append(self.now_s - self.last_s[id(job)])
        self.last_s[id(job)] = self.now_s
        if job.emitted == job.output:
            job.end_s = self.now_s
            group.running.remove(job)
            group.free += job.blocks
