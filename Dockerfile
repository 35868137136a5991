# One image for the gateway, the agents and the jobs; docker-compose.yml says which one a container is.
FROM python:3.11-slim

RUN useradd --create-home --uid 10001 shutterlog
WORKDIR /app

# Development tools are in the lock as well; --no-deps keeps pip from looking further than the hashes.
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock

COPY schemas schemas
COPY streams streams
COPY sinks sinks
COPY agents agents
COPY api api
COPY jobs jobs
RUN pip install --no-cache-dir --no-deps .

RUN mkdir -p /data/search /data/models && chown -R shutterlog /data
USER shutterlog
ENV SHUTTERLOG_HOME=/data PYTHONUNBUFFERED=1
CMD ["python", "-m", "api"]
