// Reads a ServiceMonitor as JSON, and fails if the schema of the Prometheus operator refuses it.
import { readFileSync } from "node:fs";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";

new ServiceMonitor(JSON.parse(readFileSync(0, "utf8"))).validate();
