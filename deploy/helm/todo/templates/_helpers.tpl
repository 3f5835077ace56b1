{{/* The name of the chart. */}}
{{- define "todo.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of the release's objects. At most 53 characters, so that suffixes fit in a label. */}}
{{- define "todo.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- $name := include "todo.name" . }}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- $full | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* The labels that select all pods of the release. */}}
{{- define "todo.selectorLabels" -}}
app.kubernetes.io/name: {{ include "todo.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "todo.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "todo.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "todo.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "todo.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "todo.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* How many seconds a pod with this database still accepts connections after SIGTERM. */}}
{{- define "todo.drainDelaySeconds" -}}
{{- eq .Values.database.type "postgresql" | ternary .Values.drainDelaySeconds 0 }}
{{- end }}

{{/* Refuse values that contradict each other. */}}
{{- define "todo.validate" -}}
{{- $secrets := .Values.secrets | default dict }}
{{- if and .Values.existingSecret $secrets }}
{{- fail "Set either existingSecret or secrets, not both." }}
{{- end }}
{{- if eq .Values.database.type "postgresql" }}
{{- if not .Values.existingSecret }}
{{- $_ := required "With database.type=postgresql, set existingSecret, or secrets.DATABASE_URL." $secrets.DATABASE_URL }}
{{- $_ := required "With database.type=postgresql, set existingSecret, or secrets.TODO_JWT_SECRET (openssl rand -base64 32)." $secrets.TODO_JWT_SECRET }}
{{- end }}
{{- else }}
{{- if or (gt (int .Values.replicas) 1) .Values.autoscaling.enabled }}
{{- fail "More than one replica needs PostgreSQL: set database.type=postgresql and its secrets." }}
{{- end }}
{{- if $secrets.DATABASE_URL }}
{{- fail "secrets.DATABASE_URL is only used with database.type=postgresql." }}
{{- end }}
{{- end }}
{{- $longest := add (int (include "todo.drainDelaySeconds" .)) 40 }}
{{- if lt (int .Values.terminationGracePeriodSeconds) (int $longest) }}
{{- fail (printf "terminationGracePeriodSeconds must be at least %d: drainDelaySeconds, 30 seconds for requests in flight, and 10 for emails." $longest) }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.enabled) }}
{{- fail "metrics.serviceMonitor needs metrics.enabled=true." }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
{{- fail "ingress.enabled needs at least one of ingress.hosts." }}
{{- end }}
{{- end }}

{{/*
The variables that all containers have. `secret` is the name of the Secret, for the Job too, which
runs before the release's own Secret exists. Containers that serve do not get the URL for migrations.
*/}}
{{- define "todo.env" -}}
{{- $root := .root }}
{{- range $name, $value := $root.Values.settings }}
- name: {{ $name }}
  value: {{ include "todo.text" $value | quote }}
{{- end }}
{{- if eq $root.Values.database.type "postgresql" }}
{{- range $name := list "DATABASE_URL" "TODO_JWT_SECRET" }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $.secret }}
      key: {{ $name }}
{{- end }}
{{- else }}
- name: TODO_DATA_DIR
  value: /data
{{- end }}
{{- range $root.Values.extraEnv }}
{{- if not (and $.serves (eq .name "TODO_MIGRATION_DATABASE_URL")) }}
- {{ toYaml . | nindent 2 | trim }}
{{- end }}
{{- end }}
{{- end }}

{{/* A value as text. Helm reads 1000000 as a float, which would be written as 1e+06. */}}
{{- define "todo.text" -}}
{{- kindIs "string" . | ternary . (toJson .) }}
{{- end }}

{{/* Whether there is a Secret to read settings from. */}}
{{- define "todo.hasSecret" -}}
{{- if or .Values.existingSecret .Values.secrets }}yes{{ end }}
{{- end }}

{{/* The scheduling and the identity of all pods. */}}
{{- define "todo.podSpec" -}}
automountServiceAccountToken: false
# Otherwise the Service's own variables (TODO_PORT and others) would look like settings.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Rules of egress: `rules` is a map of names to peers and ports. */}}
{{- define "todo.egress" -}}
{{- range $name, $rule := . }}
{{- if $rule }}
- ports:
    {{- range $rule.ports }}
    - port: {{ int .port }}
      protocol: {{ .protocol | default "TCP" }}
    {{- end }}
  {{- with $rule.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}
