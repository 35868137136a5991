"""The local S3: s3proxy over a folder, for chaos, and for tests that compare the folder with it."""

from __future__ import annotations

from pathlib import Path

from jobs.services.addresses import S3_USER
from jobs.services.home import Home, read_json, write_text
from jobs.services.jars import java, resolve
from jobs.services.kafka import render
from jobs.services.programs import Program

BUCKET = "shutterlog"
HEAP = ["-Xms32m", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
LOGGING = """\
<configuration>
  <appender name="console" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date %level %logger{1}: %message%n%ex{short}</pattern></encoder>
  </appender>
  <root level="warn"><appender-ref ref="console"/></root>
</configuration>
"""


def folder(home: Home) -> Path:
    """The folder of its buckets; each is a folder, and each object a file."""
    return home.data / "objects" / "media"


def properties(root: Path, port: int, key: str) -> dict[str, str]:
    """What s3proxy reads. Its backend writes beside an object and moves that there: a kill leaves no half ones."""
    return {
        "s3proxy.endpoint": f"http://127.0.0.1:{port}",
        "s3proxy.authorization": "aws-v4",
        "s3proxy.identity": S3_USER,
        "s3proxy.credential": key,
        "jclouds.provider": "filesystem-nio2",
        "jclouds.filesystem.basedir": str(root),
    }


def program(home: Home, port: int) -> Program:
    """Write the configuration, make the bucket, and say how to start it."""
    config, logging = home.conf / "objects.properties", home.conf / "objects-logback.xml"
    write_text(config, render(properties(folder(home), port, read_json(home.secrets_file)["s3_key"])), 0o600)
    write_text(logging, LOGGING)
    (folder(home) / BUCKET).mkdir(parents=True, exist_ok=True)
    command = [java(), *HEAP, f"-Dlogback.configurationFile={logging}", "-cp", f"{resolve('objects')}/*"]
    return Program(name="objects", command=[*command, "org.gaul.s3proxy.Main", "--properties", str(config)])
