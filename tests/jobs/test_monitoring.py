"""The rules, the dashboard and the configuration of the monitoring: that they are sound, and speak of what there is."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from agents import metrics as of_workers
from api import metrics as of_gateways
from jobs.services.programs import AGENTS
from tests.prometheus import FOLDER, METRIC, ROOT, promtool

RULES: dict[str, Any] = yaml.safe_load((FOLDER / "rules.yml").read_text())
RECORDED = re.compile(r"\b(?:slo|view|class|class_status):[a-z0-9_]+:[a-z0-9_]+")


def rules() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((FOLDER / "grafana" / "shutterlog.json").read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    return [rule["expr"] for rule in rules()] + [target["expr"] for panel in panels() for target in panel["targets"]]


def exported(*registries: CollectorRegistry) -> set[str]:
    """The names under which samples come, of every metric, whether or not it has any yet."""
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}
    return {
        metric.name + suffix
        for registry in registries
        for metric in registry.collect()
        for suffix in suffixes[metric.type]
    }


def test_promtool_takes_the_rules_and_the_configuration() -> None:
    assert f"SUCCESS: {len(rules())} rules found" in promtool("check", "rules", "rules.yml")
    promtool("check", "config", "prometheus.yml")


def test_faults_fire_the_alerts_and_health_does_not() -> None:
    assert "SUCCESS" in promtool("test", "rules", "rules_test.yml")


def test_every_alert_has_a_fault_that_fires_it() -> None:
    tested = yaml.safe_load((FOLDER / "rules_test.yml").read_text())["tests"]
    fired = {
        (case["alertname"], one["exp_labels"].get("slo", ""))
        for test in tested
        for case in test["alert_rule_test"]
        for one in case["exp_alerts"]
    }
    assert {name for name, _ in fired} == {rule["alert"] for rule in rules() if "alert" in rule}
    objectives = {rule["labels"]["slo"] for rule in rules() if rule.get("record") == "slo:budget:ratio"}
    assert objectives == {"availability", "errors", "feed_latency", "freshness"}
    assert {slo for name, slo in fired if name == "BudgetBurnsFast"} == objectives


@pytest.mark.parametrize("expression", expressions())
def test_rules_and_panels_speak_of_metrics_that_are_exported(expression: str) -> None:
    there = exported(of_gateways.REGISTRY, of_workers.REGISTRY)
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert set(METRIC.findall(expression)) <= there
    assert set(RECORDED.findall(expression)) <= recorded


def test_every_metric_is_on_the_dashboard_or_in_a_rule() -> None:
    named = {name for expression in expressions() for name in METRIC.findall(expression)}
    there = {metric.name for registry in (of_gateways.REGISTRY, of_workers.REGISTRY) for metric in registry.collect()}
    assert not {metric for metric in there if not any(name.startswith(metric) for name in named)}


def test_a_bucket_ends_where_the_objective_of_feeds_is() -> None:
    (ends,) = {found for rule in rules() for found in re.findall(r'class="feeds",le="([\d.]+)"', rule["expr"])}
    labels = {"class": "feeds", "le": ends}
    assert of_gateways.REGISTRY.get_sample_value("shutterlog_gateway_request_seconds_bucket", labels) is not None


def test_every_gateway_and_worker_of_the_compose_file_is_asked() -> None:
    port = 9100
    configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    targets = {one["job_name"]: one["static_configs"][0]["targets"] for one in configuration["scrape_configs"]}
    assert targets == {"gateways": [f"api:{port}"], "workers": [f"{slot}:{port}" for slot in AGENTS]}
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    for service in ("api", *AGENTS):
        environment = compose["services"][service]["environment"]
        assert (environment["METRICS_HOST"], environment["METRICS_PORT"]) == ("0.0.0.0", str(port))  # noqa: S104


def test_every_alert_leads_to_what_to_do() -> None:
    headings = re.findall(r"^#+ (.*)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    for rule in rules():
        if "alert" in rule:
            file, _, anchor = rule["annotations"]["runbook"].partition("#")
            assert file == "docs/operations.md" and anchor in anchors, rule["alert"]


def test_grafana_finds_its_source_and_its_dashboard() -> None:
    (source,) = yaml.safe_load((FOLDER / "grafana" / "datasources.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in panels()} == {source["uid"]}
    assert {target["datasource"]["uid"] for panel in panels() for target in panel["targets"]} == {source["uid"]}
    (provider,) = yaml.safe_load((FOLDER / "grafana" / "dashboards.yml").read_text())["providers"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    mounted = {volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]}
    assert f"{provider['options']['path']}/shutterlog.json" in mounted
