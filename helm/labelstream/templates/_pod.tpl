{{- /* The common part of the head and the groups. Context: {"root", "name", "group"}. */ -}}

{{- define "labelstream.podMetadata" -}}
{{- with merge (dict) (default dict .group.annotations) .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
labels:
  {{- include "labelstream.selector" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .name }}
  {{- with merge (dict) (default dict .group.labels) .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* A pod's spec without the containers and the service account. */ -}}
{{- define "labelstream.podSpec" -}}
{{- $context := . -}}
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .root.Values.terminationGracePeriodSeconds }}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" }}
{{- with default (index $context.root.Values $key) (index $context.group $key) }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with default .root.Values.priorityClassName .group.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .group.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
volumes:
  {{- include "labelstream.volumes" . | nindent 2 }}
{{- end -}}

{{- /* The Ray container without name, ports and probes. KubeRay's init container copies its security context. */ -}}
{{- define "labelstream.container" -}}
image: {{ include "labelstream.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- toYaml .root.Values.containerSecurityContext | nindent 2 }}
env:
  {{- if ne .name "head" }}
  # The head is never idle and would always use the whole time, so it keeps Ray's 30 s.
  - name: RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S
    value: {{ sub .root.Values.terminationGracePeriodSeconds 30 | quote }}
  {{- end }}
  {{- include "labelstream.env" . | nindent 2 }}
  {{- with .group.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  {{- include "labelstream.volumeMounts" . | nindent 2 }}
resources:
  {{- $resources := merge (dict "cpu" .group.cpu "memory" .group.memory) (default dict .group.extraResources) }}
  {{- if .group.gpu }}
  {{- $_ := set $resources (default "nvidia.com/gpu" .group.gpuResource) .group.gpu }}
  {{- end }}
  requests:
    {{- toYaml $resources | nindent 4 }}
  limits:
    {{- toYaml $resources | nindent 4 }}
{{- end -}}

{{- /* Whether a pod reaches Kafka, and whether it downloads models. Context: {"root", "name"}. */ -}}
{{- define "labelstream.talksToKafka" -}}{{- has .name (list "head" "workers") -}}{{- end -}}
{{- define "labelstream.asksTheHub" -}}
{{- ternary (eq .name "fetch") (ne .name "head") .root.Values.modelCache.fetch.enabled -}}
{{- end -}}

{{- define "labelstream.env" -}}
{{- $values := .root.Values -}}
- name: RAY_USAGE_STATS_ENABLED
  value: "0"
{{- if ne $values.modelCache.kind "none" }}
- name: HF_HOME
  value: {{ $values.modelCache.mountPath }}
{{- end }}
{{- if or $values.hub.offline (and $values.modelCache.fetch.enabled (ne .name "fetch")) }}
- name: HF_HUB_OFFLINE
  value: "1"
{{- end }}
{{- if and $values.modelCache.fetch.enabled (ne .name "fetch") }}
# For converted models, such as OpenVINO's, because the cache is read-only.
- name: HF_ASSETS_CACHE
  value: /tmp/assets
{{- end }}
{{- if and $values.hub.tokenSecret.name (eq "true" (include "labelstream.asksTheHub" .)) }}
- name: HF_TOKEN_PATH
  value: {{ include "labelstream.secretsFolder" "hub-token" }}/token
{{- end }}
{{- if and $values.kafka.usernameSecret.name (eq "true" (include "labelstream.talksToKafka" .)) }}
- name: LABELSTREAM_KAFKA__SECURITY__USERNAME
  valueFrom:
    secretKeyRef:
      name: {{ $values.kafka.usernameSecret.name }}
      key: {{ $values.kafka.usernameSecret.key }}
{{- end }}
{{- if and (include "labelstream.http" .root | fromJson) (ne .name "fetch") }}
# Serve's proxies would answer /-/routes without the token.
- name: RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH
  value: labelstream.deploy.gateway.proxy.guard:middlewares
# Serve replaces a dead proxy after three failed checks, one each second.
- name: RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S
  value: "1"
{{- end }}
{{- with $values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Secrets are files: a file is updated in a running pod, and no child process inherits it. */ -}}
{{- define "labelstream.secretsFolder" -}}/etc/labelstream/{{ . }}{{- end -}}

{{- /* {"volumes": [..], "mounts": [..]} */ -}}
{{- define "labelstream.storage" -}}
{{- $values := .root.Values -}}
{{- $readable := 288 -}}{{- /* 0440: the pod's fsGroup */ -}}
{{- $tmp := dict "name" "tmp" "emptyDir" (ternary (dict "sizeLimit" $values.tmp.sizeLimit) dict (not (empty $values.tmp.sizeLimit))) -}}
{{- $volumes := list $tmp -}}
{{- $mounts := list (dict "name" "tmp" "mountPath" "/tmp") -}}
{{- if and (eq .name "head") $values.autoscaler.enabled -}}
{{- $volumes = append $volumes (include "labelstream.apiToken" . | fromYaml) -}}
{{- end -}}
{{- with $values.modelCache -}}
{{- if eq .kind "emptyDir" -}}
{{- $empty := ternary (dict "sizeLimit" .emptyDir.sizeLimit) dict (not (empty .emptyDir.sizeLimit)) -}}
{{- $volumes = append $volumes (dict "name" "model-cache" "emptyDir" $empty) -}}
{{- else if ne .kind "none" -}}
{{- $claim := ternary (printf "%s-models" (include "labelstream.name" $.root)) .existingClaim (eq .kind "claim") -}}
{{- $volumes = append $volumes (dict "name" "model-cache" "persistentVolumeClaim" (dict "claimName" $claim)) -}}
{{- end -}}
{{- if ne .kind "none" -}}
{{- $mount := dict "name" "model-cache" "mountPath" .mountPath -}}
{{- if and .fetch.enabled (ne $.name "fetch") -}}{{- $_ := set $mount "readOnly" true -}}{{- end -}}
{{- $mounts = append $mounts $mount -}}
{{- end -}}
{{- end -}}
{{- if eq "true" (include "labelstream.talksToKafka" .) -}}
{{- with $values.kafka.tls -}}
{{- if .secret -}}
{{- $volumes = append $volumes (dict "name" "kafka-tls" "secret" (dict "secretName" .secret "defaultMode" $readable)) -}}
{{- $mounts = append $mounts (dict "name" "kafka-tls" "mountPath" .mountPath "readOnly" true) -}}
{{- end -}}
{{- end -}}
{{- $sources := list -}}
{{- range $file, $secret := dict "password" $values.kafka.passwordSecret "key_password" $values.kafka.tls.keyPasswordSecret -}}
{{- if $secret.name -}}
{{- $sources = append $sources (dict "secret" (dict "name" $secret.name "items" (list (dict "key" $secret.key "path" $file)))) -}}
{{- end -}}
{{- end -}}
{{- if $sources -}}
{{- $volumes = append $volumes (dict "name" "kafka-login" "projected" (dict "sources" $sources "defaultMode" $readable)) -}}
{{- $mounts = append $mounts (dict "name" "kafka-login" "mountPath" (include "labelstream.secretsFolder" "kafka-login") "readOnly" true) -}}
{{- end -}}
{{- end -}}
{{- with $values.hub.tokenSecret -}}
{{- if and .name (eq "true" (include "labelstream.asksTheHub" $)) -}}
{{- $items := list (dict "key" .key "path" "token") -}}
{{- $volumes = append $volumes (dict "name" "hub-token" "secret" (dict "secretName" .name "items" $items "defaultMode" $readable)) -}}
{{- $mounts = append $mounts (dict "name" "hub-token" "mountPath" (include "labelstream.secretsFolder" "hub-token") "readOnly" true) -}}
{{- end -}}
{{- end -}}
{{- /* Gateway replicas and Serve's proxies run in every pod. */ -}}
{{- if ne .name "fetch" -}}
{{- with $values.http.tokenSecret -}}
{{- if .name -}}
{{- $items := list (dict "key" .key "path" "token") -}}
{{- $volumes = append $volumes (dict "name" "http-token" "secret" (dict "secretName" .name "items" $items "defaultMode" $readable)) -}}
{{- $mounts = append $mounts (dict "name" "http-token" "mountPath" (include "labelstream.secretsFolder" "http-token") "readOnly" true) -}}
{{- end -}}
{{- end -}}
{{- with $values.http.tls.secret -}}
{{- $volumes = append $volumes (dict "name" "http-tls" "secret" (dict "secretName" . "defaultMode" $readable)) -}}
{{- $mounts = append $mounts (dict "name" "http-tls" "mountPath" (include "labelstream.secretsFolder" "http-tls") "readOnly" true) -}}
{{- end -}}
{{- end -}}
{{- dict "volumes" $volumes "mounts" $mounts | toJson -}}
{{- end -}}

{{- /* The mount that Kubernetes would add to every container of the pod. */ -}}
{{- define "labelstream.apiToken" -}}
name: api-token
projected:
  defaultMode: 288
  sources:
    - serviceAccountToken: {path: token, expirationSeconds: 3607}
    - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
    - downwardAPI: {items: [{path: namespace, fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}]}
{{- end -}}

{{- define "labelstream.volumes" -}}
{{- toYaml (concat (include "labelstream.storage" . | fromJson).volumes .root.Values.extraVolumes) -}}
{{- end -}}

{{- define "labelstream.volumeMounts" -}}
{{- toYaml (concat (include "labelstream.storage" . | fromJson).mounts .root.Values.extraVolumeMounts) -}}
{{- end -}}
