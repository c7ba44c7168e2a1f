{{- define "monitor.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "monitor.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "monitor.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "monitor.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "monitor.selector" -}}
app.kubernetes.io/name: {{ include "monitor.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* Of the pod of helm test, which is none of the monitors. */ -}}
{{- define "monitor.testSelector" -}}
app.kubernetes.io/name: {{ include "monitor.name" . | trunc 58 | trimSuffix "-" }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "monitor.labels" -}}
{{ include "monitor.selector" . }}
{{ include "monitor.commonLabels" . }}
{{- end -}}

{{- define "monitor.commonLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (replace "+" "_" .Chart.Version) }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "monitor.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "monitor.image" -}}
{{- with .Values.global.imageRegistry | default .Values.image.registry }}{{ . }}/{{ end -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "monitor.imagePullSecrets" -}}
{{- with concat (.Values.global.imagePullSecrets | default list) .Values.imagePullSecrets -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- /* On OpenShift, the user and the groups are assigned by its security context constraints. */ -}}
{{- define "monitor.podSecurityContext" -}}
{{- $openshift := .Values.openshift -}}
{{- if eq (toString $openshift) "auto" -}}
{{- $openshift = .Capabilities.APIVersions.Has "security.openshift.io/v1" -}}
{{- end -}}
{{- $context := .Values.podSecurityContext -}}
{{- if $openshift -}}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{- /* Where browsers reach the monitor, without a slash at the end; empty if the chart does not know it. */ -}}
{{- define "monitor.externalUrl" -}}
{{- if .Values.config.external_url -}}
{{ .Values.config.external_url | trimSuffix "/" }}
{{- else if .Values.ingress.enabled -}}
{{- with first .Values.ingress.hosts -}}
{{ ternary "https" "http" (not (empty $.Values.ingress.tls)) }}://{{ .host }}{{ dig "path" "/" (first (.paths | default (list dict))) | trimSuffix "/" }}
{{- end -}}
{{- else if and .Values.httpRoute.enabled .Values.httpRoute.hostnames -}}
https://{{ first .Values.httpRoute.hostnames }}
{{- end -}}
{{- end -}}

{{- define "monitor.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "monitor.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- /* The names of the Secrets with API keys and with web.yml; empty if there is none. */ -}}
{{- define "monitor.keys" -}}
{{- if .Values.keys.existingSecret -}}
{{ .Values.keys.existingSecret }}
{{- else if .Values.keys.files -}}
{{ include "monitor.fullname" . }}-keys
{{- end -}}
{{- end -}}

{{- define "monitor.web" -}}
{{- if .Values.web.existingSecret -}}
{{ .Values.web.existingSecret }}
{{- else if .Values.web.config -}}
{{ include "monitor.fullname" . }}-web
{{- end -}}
{{- end -}}

{{- /* HTTPS if the web config has a certificate; for a web config in an existing Secret, if tlsSecret is set. */ -}}
{{- define "monitor.scheme" -}}
{{- if or .Values.web.config.tls_server_config .Values.web.tlsSecret -}}
HTTPS
{{- else -}}
HTTP
{{- end -}}
{{- end -}}

{{- define "monitor.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- if include "monitor.web" . -}}
{{- $_ := set $config "web_config" "/etc/milvus-import-monitor/web/web.yml" -}}
{{- end -}}
{{- with include "monitor.externalUrl" . -}}
{{- $_ := set $config "external_url" (print . "/") -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- /* The command of an exec probe; user and password file are set by environment variables. */ -}}
{{- define "monitor.healthcheck" -}}
[milvus-import-monitor, healthcheck, --url, "{{ include "monitor.scheme" . | lower }}://127.0.0.1:19595"
{{- if eq (include "monitor.scheme" .) "HTTPS" }}, --insecure{{ end }}
{{- end -}}

{{- /* Checks of combinations of values, which the schema cannot express. */ -}}
{{- define "monitor.check" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.state.postgresql.existingSecret) -}}
{{- fail "replicas: more than one replica requires a shared state; set state.postgresql.existingSecret" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts: an Ingress requires at least one host" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs: an HTTPRoute requires the Gateway that it belongs to" -}}
{{- end -}}
{{- if and .Values.keys.existingSecret .Values.keys.files -}}
{{- fail "keys: existingSecret and files are mutually exclusive" -}}
{{- end -}}
{{- if and .Values.web.existingSecret .Values.web.config -}}
{{- fail "web: existingSecret and config are mutually exclusive" -}}
{{- end -}}
{{- if and .Values.web.config.basic_auth_users (eq .Values.web.probe "http") -}}
{{- fail "web.probe: http probes fail if a password is required; set web.probe to healthcheck, and set web.probeUser" -}}
{{- end -}}
{{- if and (eq (dig "tls_server_config" "client_auth_type" "" .Values.web.config) "RequireAndVerifyClientCert") (ne .Values.web.probe "tcp") -}}
{{- fail "web.probe: probes fail if a client certificate is required; set web.probe to tcp" -}}
{{- end -}}
{{- if .Values.web.probeUser.name -}}
{{- if not .Values.web.probeUser.existingSecret -}}
{{- fail "web.probeUser: existingSecret is missing; set it to a Secret with the password" -}}
{{- end -}}
{{- end -}}
{{- end -}}
