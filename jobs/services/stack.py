"""The local stack of one home: start, ask after, stop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from jobs.services import addresses, cassandra, clickhouse, clusters, guard, kafka, objects, pids, probes, redis
from jobs.services.failures import NeverHealthy, StackError
from jobs.services.home import Home, read_json, write_json
from jobs.services.programs import AGENTS, Program, agent_programs, api_program
from jobs.services.supervisor import Supervisor
from sinks.settings import Settings
from sinks.store_security import without_key

PATIENCE, EXTERNAL_PATIENCE = 120.0, 10.0
"""Seconds that a started program, and a service named by the environment, have to become healthy."""
NODE_PATIENCE = 400.0
"""The same of a node of a cluster: a dozen of them start at once."""

LIVES = 3
"""A program that is started more often than this while waited for is not going to run."""

Say = Callable[[str], None]

KNOWN_VARIABLES = tuple(name.upper() for name in Settings.model_fields)


@dataclass(frozen=True)
class Health:
    """One service as `status` shows it."""

    state: str
    healthy: bool
    pid: int | None
    address: str | None
    detail: str


class Stack:
    """Everything that runs for one home, on behalf of one environment."""

    def __init__(
        self,
        home: Home,
        environment: Mapping[str, str],
        say: Say = lambda line: None,
        kafka_link: kafka.Link | None = None,
    ) -> None:
        """``kafka_link`` is a second way to a local Kafka."""
        self.home = home
        self._kafka_link = kafka_link
        self.environment = environment
        self.say = say
        self.supervisor = Supervisor(home)

    def start_services(
        self,
        names: Iterable[str] = addresses.SERVICES,
        *,
        free_ports: bool = False,
        clustered: bool = False,
        guarded: bool | None = None,
    ) -> None:
        """Start those of ``names`` that neither the environment names nor run yet; wait until all answer.

        With ``clustered``, Kafka, Cassandra and Redis are several nodes each. A home is the one or the other: raises
        ``StackError`` for one whose data is of the other kind. With ``guarded`` they speak TLS and know their user;
        None for what the home did last.
        """
        with self.home.locked():
            self.home.create()
            self.home.ensure_secrets()
            was_running = self._clear_the_ground()
            programs, ports = self._recorded()
            is_guarded = self._is_to_be_guarded(guarded, bool(programs), clustered)
            if not programs:  # what runs keeps the certificates that it began with
                guard.choose(self.home, is_guarded)
            names = clusters.node_names(names, self.environment) if clustered else list(names)
            clusters.refuse_another_kind(self.home, names)
            wanted = addresses.local_services(names, self.environment)
            try:
                for name in wanted:
                    if name not in programs:
                        chosen = addresses.choose_ports(
                            name, free_ports=free_ports, remembered=ports, avoid=ports.values()
                        )
                        ports |= chosen
                for name in wanted:
                    if name not in programs:
                        self.say(f"starting {name}")
                        programs[name] = self._prepare(name, ports)
                self._apply(programs, ports)
                self._wait(names)
                clusters.form(wanted, ports)
            except BaseException:
                if not was_running:
                    self._stop_all()
                raise

    def start_apps(self, *, free_ports: bool = False, slots: Mapping[str, tuple[str, ...]] = AGENTS) -> None:
        """Start the gateway and the agents, and wait until the gateway answers and the agents run."""
        with self.home.locked():
            programs, ports = self._recorded()
            if self.environment.get("API_PORT"):
                ports["api"] = int(self.environment["API_PORT"])
            if "api" not in programs:
                if self.environment.get("API_PORT"):
                    addresses.require_free("api", "api", ports["api"])
                else:
                    ports |= addresses.choose_ports("api", free_ports=free_ports, remembered=ports)
            passed_on = {name: self.environment[name] for name in KNOWN_VARIABLES if self.environment.get(name)}
            apps = [*agent_programs(passed_on, slots), api_program(passed_on)]
            programs = {name: program for name, program in programs.items() if not program.is_app}
            programs |= {program.name: program for program in apps}
            self.say("starting the agents and the API")
            self._apply(programs, ports)
            self._wait(program.name for program in apps)

    def restart_app(self, name: str, environment: Mapping[str, str]) -> None:
        """Stop one of ours as an operator would, start it again with ``environment`` over what it had, and wait until
        it runs."""
        with self.home.locked():
            programs, ports = self._recorded()
            before = programs[name]
            programs[name] = replace(before, environment={**before.environment, **environment})
            self.supervisor.stop_program(name)
            self._apply(programs, ports)
            self.supervisor.start_program(name)
            self._wait([name])

    def plan(
        self, *, free_ports: bool = False, apps: bool = True, clustered: bool = False, guarded: bool | None = None
    ) -> list[str]:
        """What starting would do, a line each; changes nothing. Raises ``StackError`` for what cannot be guarded."""
        running = self.supervisor.states()
        lines = []
        if self._is_to_be_guarded(guarded, bool(running), clustered):
            lines.append(f"would have all services speak TLS, with certificates and keys below {self.home.root}")
        services = clusters.node_names(addresses.SERVICES, self.environment) if clustered else addresses.SERVICES
        for name in [*services, *(["api"] if apps else [])]:
            if self._is_external(name):
                variable = addresses.ENVIRONMENT[name]
                lines.append(f"would use {name} at {_shown(self.environment[variable])} ({variable})")
            elif name in running:
                lines.append(f"{name} runs already")
            elif free_ports:
                lines.append(f"would start {name} on free ports")
            else:
                listed = ", ".join(
                    f"{port}" + ("" if addresses.is_free(port) else " (TAKEN)")
                    for port in addresses.ports_of(name).values()
                )
                lines.append(f"would start {name} on port {listed or 'the same ports'}")
        if apps:
            lines.append("would provision topics and keyspace")
            lines.extend(f"would start the agent {slot}: {' '.join(groups)}" for slot, groups in AGENTS.items())
        return lines

    def stop(self) -> dict[int, str]:
        """Stop everything, the apps before the services; returns what could not be stopped, which is a failure."""
        with self.home.locked():
            return self._stop_all()

    def running(self) -> dict[int, str]:
        """Pids and names of all that runs for this home."""
        return pids.belonging(self.home)

    def status(self) -> dict[str, Health]:
        """Every program and every service, each asked itself."""
        states = self.supervisor.states()
        settings = self._settings()
        programs, _ = self._recorded()
        if states:
            pids.record(self.home, self._pids())
        found: dict[str, Health] = {}
        for name in [*clusters.shown(programs), *(name for name, program in programs.items() if program.is_app)]:
            known = states.get(name)
            if known is None and not self._is_external(name):
                found[name] = Health("stopped", False, None, None, "not started")
                continue
            probe, address = self._probe(name, settings)
            well, detail = probes.finding(probe) if probe else (known is not None and known.state == "running", "")
            state = "external" if known is None else known.state
            found[name] = Health(
                state=state,
                healthy=well and state in ("external", "running"),
                pid=known.pid if known else None,
                address=address,
                detail=detail or (known.said if known else ""),
            )
        probe, address = self._probe("object_store", settings)
        well, detail = probes.finding(probe) if probe else (False, "")
        state = "external" if settings.s3_endpoint else ("folder" if well else "missing")
        found["object_store"] = Health(state, well, None, address, detail)
        return found

    # -- inside ---------------------------------------------------------------------------------------------------

    def _settings(self) -> Settings:
        written = {**read_json(self.home.addresses_file), **addresses.external(self.environment)}
        return Settings(shutterlog_home=self.home.root, **written)

    def _clear_the_ground(self) -> bool:
        """Whether a supervisor runs already; where it was killed, end what it left: it holds ports and folders."""
        if self.supervisor.pid is not None:
            return True
        orphans = pids.belonging(self.home)
        if orphans:
            self.say(f"stopping what a killed supervisor left: {', '.join(sorted(orphans.values()))}")
            if pids.end(orphans):
                raise StackError(f"cannot stop what a killed supervisor left: {orphans}")
        _, ports = self._recorded()
        self._write_record({}, ports)
        return False

    def _recorded(self) -> tuple[dict[str, Program], dict[str, int]]:
        record = read_json(self.home.run / "stack.json")
        programs = {name: Program(**program) for name, program in record.get("programs", {}).items()}
        return programs, dict(record.get("ports", {}))

    def _write_record(self, programs: Mapping[str, Program], ports: Mapping[str, int]) -> None:
        self.home.run.mkdir(parents=True, exist_ok=True)
        listed = {name: program.to_json() for name, program in programs.items()}
        record = {"programs": listed, "ports": dict(ports), "guarded": guard.is_guarded(self.home)}
        write_json(self.home.run / "stack.json", record, mode=0o600)

    def _is_to_be_guarded(self, wished: bool | None, running: bool, clustered: bool) -> bool:
        several = clustered or self._kafka_link is not None
        return guard.is_to_be(self.home, wished, running=running, several=several, environment=self.environment)

    def _prepare(self, name: str, ports: Mapping[str, int]) -> Program:
        if name != addresses.service_of(name):
            return clusters.prepare(self.home, name, ports)
        if name == "objects":
            return objects.program(self.home, ports["objects"])
        own = guard.guard_of(self.home, name) if guard.is_guarded(self.home) else None
        if name == "kafka":
            return kafka.program(self.home, ports["kafka"], ports["kafka_controller"], self._kafka_link, own)
        if name == "cassandra":
            return cassandra.program(self.home, ports["cassandra"], ports["cassandra_storage"], own)
        if name == "clickhouse":
            return clickhouse.program(self.home, ports["clickhouse"], own)
        return redis.program(self.home, ports["redis"], own)

    def _apply(self, programs: Mapping[str, Program], ports: Mapping[str, int]) -> None:
        own = {purpose: port for purpose, port in ports.items() if purpose in programs}
        local = addresses.fields(own)
        if guard.is_guarded(self.home):
            local = guard.fields(self.home, local)
        # A URL of Redis may have a key in it.
        write_json(self.home.addresses_file, {**local, **addresses.external(self.environment)}, mode=0o600)
        self._write_record(programs, ports)
        if programs:
            self.supervisor.apply(programs.values())
            pids.record(self.home, self._pids())

    def _pids(self) -> dict[str, int]:
        running = {state.name: state.pid for state in self.supervisor.states().values() if state.pid}
        supervisord = self.supervisor.pid
        return {**running, "supervisord": supervisord} if supervisord else running

    def _probe(self, name: str, settings: Settings) -> tuple[Callable[[], str] | None, str | None]:
        if name != addresses.service_of(name):
            return clusters.probe(name, self._recorded()[1])
        return probes.of(name, settings, self.home.media)

    def _wait(self, names: Iterable[str]) -> None:
        settings = self._settings()
        for name in names:
            self._wait_for(name, settings)
        pids.record(self.home, self._pids())

    def _wait_for(self, name: str, settings: Settings) -> None:
        probe, address = self._probe(name, settings)
        if name == "cassandra" and guard.is_guarded(self.home):
            probe = partial(probes.new_cassandra, settings)
        is_external = self._is_external(name)
        patience = EXTERNAL_PATIENCE if is_external else PATIENCE
        if name != addresses.service_of(name):
            patience = NODE_PATIENCE
        deadline = time.monotonic() + patience
        lives: set[int] = set()
        while True:
            well, detail = probes.finding(probe) if probe else (True, "")
            if is_external:
                if well:
                    return
                if time.monotonic() > deadline:
                    raise NeverHealthy(
                        f"{addresses.ENVIRONMENT[name]} names {address}, and it does not answer: {detail}"
                    )
            else:
                state = self.supervisor.states().get(name)
                if well and state is not None and state.state == "running":
                    return
                if state is not None and state.pid:
                    lives.add(state.pid)
                if time.monotonic() > deadline or len(lives) > LIVES or (state and state.state == "fatal"):
                    raise NeverHealthy(self._story(name, detail, len(lives)))
            time.sleep(0.1)

    def _is_external(self, name: str) -> bool:
        service = addresses.service_of(name)
        return service != "api" and bool(self.environment.get(addresses.ENVIRONMENT.get(service, "")))

    def _story(self, name: str, detail: str, lives: int) -> str:
        log = self.home.log(name)
        tail = ""
        if log.exists():
            with log.open(errors="replace") as lines:
                tail = "".join(deque(lines, maxlen=15))
        reason = f"{name} was started {lives} time(s) and is not healthy"
        return f"{reason} ({detail or 'it does not keep running'}); {log} ends:\n{tail}"

    def _stop_all(self) -> dict[int, str]:
        programs, _ = self._recorded()
        apps = {name for name, program in programs.items() if program.is_app}
        running = {name: state.pid for name, state in self.supervisor.states().items() if state.pid}
        for group in (apps, set(running) - apps):
            stopping = group & set(running)
            for name in stopping:
                self.supervisor.stop_program(name)
            patience = max((programs[name].stop_seconds for name in stopping if name in programs), default=0) + 5.0
            pids.wait_gone((pid for name in stopping if (pid := running[name])), patience)
        self.supervisor.shut_down()
        pids.end(pids.belonging(self.home))
        left = pids.belonging(self.home)
        if not left:
            for leftover in (self.home.socket, self.home.run / "pids.json", self.home.run / "supervisord.pid"):
                leftover.unlink(missing_ok=True)
            self.home.addresses_file.unlink(missing_ok=True)
            _, ports = self._recorded()
            self._write_record({}, ports)
        return left


def _shown(address: str) -> str:
    return without_key(address) if "://" in address else address


def to_json(found: Mapping[str, Health]) -> dict[str, Any]:
    """What ``status --json`` prints; programs read it, so it stays as it is."""
    return {
        "healthy": bool(found) and all(health.healthy for health in found.values()),
        "services": {name: asdict(health) for name, health in found.items()},
    }
