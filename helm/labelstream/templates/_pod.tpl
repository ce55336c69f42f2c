{{- /* What head and groups have in common. Context: {"root", "name", "group"}. */ -}}

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

{{- /* Of a pod's spec all but the containers and the service account. */ -}}
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
{{- with include "labelstream.volumes" .root }}
volumes:
  {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* Of the Ray container all but its name, ports and probes. KubeRay's init container takes its security over. */ -}}
{{- define "labelstream.container" -}}
image: {{ include "labelstream.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- toYaml .root.Values.containerSecurityContext | nindent 2 }}
env:
  {{- if ne .name "head" }}
  # The head is never idle, and would always wait to the end: it keeps Ray's 30 s.
  - name: RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S
    value: {{ sub .root.Values.terminationGracePeriodSeconds 30 | quote }}
  {{- end }}
  {{- include "labelstream.env" .root | nindent 2 }}
  {{- with .group.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "labelstream.volumeMounts" .root }}
volumeMounts:
  {{- . | nindent 2 }}
{{- end }}
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

{{- define "labelstream.secretEnv" -}}
{{- if .secret.name -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret.name }}
      key: {{ .secret.key }}
{{- end -}}
{{- end -}}

{{- define "labelstream.env" -}}
- name: RAY_USAGE_STATS_ENABLED
  value: "0"
{{- if ne .Values.modelCache.kind "none" }}
- name: HF_HOME
  value: {{ .Values.modelCache.mountPath }}
{{- end }}
{{- if .Values.hub.offline }}
- name: HF_HUB_OFFLINE
  value: "1"
{{- end }}
{{- with .Values }}
{{- range $name, $secret := dict
  "HF_TOKEN" .hub.tokenSecret
  "LABELSTREAM_KAFKA__SECURITY__USERNAME" .kafka.usernameSecret
  "LABELSTREAM_KAFKA__SECURITY__PASSWORD" .kafka.passwordSecret
  "LABELSTREAM_KAFKA__SECURITY__KEY_PASSWORD" .kafka.tls.keyPasswordSecret }}
{{- with include "labelstream.secretEnv" (dict "name" $name "secret" $secret) }}
{{ . }}
{{- end }}
{{- end }}
{{- with .extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "labelstream.volumes" -}}
{{- $volumes := list -}}
{{- with .Values.modelCache -}}
{{- if eq .kind "emptyDir" -}}
{{- $empty := ternary (dict "sizeLimit" .emptyDir.sizeLimit) dict (not (empty .emptyDir.sizeLimit)) -}}
{{- $volumes = append $volumes (dict "name" "model-cache" "emptyDir" $empty) -}}
{{- else if ne .kind "none" -}}
{{- $claim := ternary (printf "%s-models" (include "labelstream.name" $)) .existingClaim (eq .kind "claim") -}}
{{- $volumes = append $volumes (dict "name" "model-cache" "persistentVolumeClaim" (dict "claimName" $claim)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.kafka.tls.secret -}}
{{- $volumes = append $volumes (dict "name" "kafka-tls" "secret" (dict "secretName" . "defaultMode" 288)) -}}
{{- end -}}
{{- with concat $volumes .Values.extraVolumes -}}{{- toYaml . -}}{{- end -}}
{{- end -}}

{{- define "labelstream.volumeMounts" -}}
{{- $mounts := list -}}
{{- if ne .Values.modelCache.kind "none" -}}
{{- $mounts = append $mounts (dict "name" "model-cache" "mountPath" .Values.modelCache.mountPath) -}}
{{- end -}}
{{- if .Values.kafka.tls.secret -}}
{{- $mounts = append $mounts (dict "name" "kafka-tls" "mountPath" .Values.kafka.tls.mountPath "readOnly" true) -}}
{{- end -}}
{{- with concat $mounts .Values.extraVolumeMounts -}}{{- toYaml . -}}{{- end -}}
{{- end -}}
