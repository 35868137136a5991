"""The local Cassandra, one node or three, on loopback only; without authentication unless it is guarded."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.services.certificates import java_stores
from jobs.services.guard import Guard
from jobs.services.home import Home, write_bytes, write_text
from jobs.services.jars import java, resolve
from jobs.services.programs import Program

HEAP = ["-Xms512m", "-Xmx1g", "-XX:MaxDirectMemorySize=512m", "-Xss512k"]
NODE_HEAP = ["-Xms256m", "-Xmx1g", "-XX:MaxDirectMemorySize=256m", "-Xss512k", "-XX:TieredStopAtLevel=1"]
"""Of one of three, which share the machine: started with less work, and slower afterwards."""

COLLECTOR = [
    "-XX:+UseG1GC",
    "-XX:+ParallelRefProcEnabled",
    "-XX:MaxTenuringThreshold=2",
    "-XX:MaxGCPauseMillis=200",
    "-XX:InitiatingHeapOccupancyPercent=70",
    "-XX:+ExitOnOutOfMemoryError",
]

EXPORTS = [
    "java.base/java.lang.ref",
    "java.base/jdk.internal.misc",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.attach/sun.tools.attach",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.unsupported/sun.misc",
]
OPENS = [
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.util",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.compiler/com.sun.tools.javac",
    "jdk.management/com.sun.management.internal",
]

SYSTEM = {
    "cassandra-foreground": "yes",
    "cassandra.ring_delay_ms": "0",
    "cassandra.skip_wait_for_gossip_to_settle": "0",
    "cassandra.superuser_setup_delay_ms": "0",
    "io.netty.allocator.maxOrder": "11",
    "io.netty.allocator.useCacheForAllThreads": "true",
    "io.netty.tryReflectionSetAccessible": "true",
    "java.net.preferIPv4Stack": "true",
    "jdk.attach.allowAttachSelf": "true",
}

LOGGING = """\
<configuration scan="false">
  <appender name="STDOUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date{ISO8601} %-5level %logger{0}: %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="STDOUT"/></root>
</configuration>
"""


def configuration(folder: Path, port: int, storage_port: int) -> dict[str, Any]:
    """``cassandra.yaml`` as a mapping. Batches of one partition may be large: sinks group their writes so."""
    return {
        "cluster_name": "shutterlog",
        "num_tokens": 1,
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "endpoint_snitch": "SimpleSnitch",
        "authenticator": "AllowAllAuthenticator",
        "authorizer": "AllowAllAuthorizer",
        "listen_address": "127.0.0.1",
        "storage_port": storage_port,
        "ssl_storage_port": storage_port + 1,
        "rpc_address": "127.0.0.1",
        "native_transport_port": port,
        "start_native_transport": True,
        "seed_provider": [
            {
                "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                "parameters": [{"seeds": f"127.0.0.1:{storage_port}"}],
            }
        ],
        "data_file_directories": [str(folder / "tables")],
        "commitlog_directory": str(folder / "commitlog"),
        "saved_caches_directory": str(folder / "saved_caches"),
        "hints_directory": str(folder / "hints"),
        "cdc_raw_directory": str(folder / "cdc_raw"),
        "commitlog_sync": "periodic",
        "commitlog_sync_period": "1000ms",
        "commitlog_segment_size": "16MiB",
        "commitlog_total_space": "512MiB",
        "memtable_heap_space": "192MiB",
        "memtable_offheap_space": "192MiB",
        "memtable_allocation_type": "heap_buffers",
        "file_cache_size": "128MiB",
        "key_cache_size": "32MiB",
        "concurrent_reads": 16,
        "concurrent_writes": 16,
        "concurrent_compactors": 1,
        "compaction_throughput": "64MiB/s",
        "auto_snapshot": False,
        "batch_size_warn_threshold": "1MiB",
        "batch_size_fail_threshold": "8MiB",
        "unlogged_batch_across_partitions_warn_threshold": 100,
        "read_request_timeout": "10s",
        "range_request_timeout": "20s",
        "write_request_timeout": "10s",
        "cas_contention_timeout": "3s",
        "truncate_request_timeout": "60s",
        "request_timeout": "20s",
    }


def clustered(values: Mapping[str, Any], number: int, hosts: Sequence[str]) -> dict[str, Any]:
    """``values`` for the node ``number``, from 1, of one on each of ``hosts``. All may be started at once: each has its
    place on the ring from the first."""
    port = values["storage_port"]
    seeds = ",".join(f"{host}:{port}" for host in hosts)
    simple = "org.apache.cassandra.locator.SimpleSeedProvider"
    return {
        **values,
        "listen_address": hosts[number - 1],
        "rpc_address": hosts[number - 1],
        "initial_token": str(-(2**63) + (number - 1) * 2**64 // len(hosts)),
        "auto_bootstrap": False,
        "seed_provider": [{"class_name": simple, "parameters": [{"seeds": seeds}]}],
        # Who has died is taken for dead after some 10 s, and not 18.
        "phi_convict_threshold": 5,
    }


def guarded(values: Mapping[str, Any], keystore: Path, truststore: Path, password: str) -> dict[str, Any]:
    """``values`` with TLS for clients and between nodes, and users with passwords. ``password`` opens both stores."""
    stores = {
        "keystore": str(keystore),
        "keystore_password": password,
        "truststore": str(truststore),
        "truststore_password": password,
        "store_type": "PKCS12",
    }
    return {
        **values,
        "authenticator": "PasswordAuthenticator",
        "client_encryption_options": {"enabled": True, "optional": False, "require_client_auth": False, **stores},
        "server_encryption_options": {"internode_encryption": "all", "require_client_auth": True, **stores},
    }


def program(home: Home, port: int, storage_port: int, guard: Guard | None = None) -> Program:
    """Write the configuration and say how to start Cassandra. Its user is made once it runs, by ``cql.admit``."""
    values = configuration(home.data / "cassandra", port, storage_port)
    if guard:
        password = secrets.token_urlsafe(32)
        keystore, truststore = home.conf / "cassandra.p12", home.conf / "cassandra-trust.p12"
        for path, content in zip((keystore, truststore), java_stores(guard.pem, guard.ca, password), strict=True):
            write_bytes(path, content, 0o600)
        values = guarded(values, keystore, truststore, password)
    return _program(home, "cassandra", values, HEAP)


def node_program(home: Home, number: int, hosts: Sequence[str], port: int, storage_port: int) -> Program:
    """The same of one node of a cluster; see ``clustered``."""
    name = f"cassandra-{number}"
    values = configuration(home.data / name, port, storage_port)
    return _program(home, name, clustered(values, number, hosts), NODE_HEAP)


def _program(home: Home, name: str, values: Mapping[str, Any], heap: Sequence[str]) -> Program:
    folder = home.data / name
    folder.mkdir(parents=True, exist_ok=True)
    config = home.conf / f"{name}.yaml"
    logging = home.conf / "cassandra-logback.xml"
    # Every JSON document is a YAML document.
    write_text(config, json.dumps(values, indent=2) + "\n", 0o600)  # a guarded one opens its key store
    write_text(logging, LOGGING)
    jars = resolve("cassandra")
    own = {
        "cassandra.config": config.as_uri(),
        "cassandra.storagedir": str(folder),
        "cassandra.logdir": str(home.logs),
        "logback.configurationFile": str(logging),
    }
    command = [
        java(),
        *heap,
        *COLLECTOR,
        f"-javaagent:{next(iter(jars.glob('jamm-*.jar')))}",
        *(f"--add-exports={package}=ALL-UNNAMED" for package in EXPORTS),
        *(f"--add-opens={package}=ALL-UNNAMED" for package in OPENS),
        *(f"-D{name}={value}" for name, value in (SYSTEM | own).items()),
        "-cp",
        f"{jars}/*",
        "org.apache.cassandra.service.CassandraDaemon",
    ]
    return Program(name=name, command=command, stop_seconds=30)
