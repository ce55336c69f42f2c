{{- /* Names, labels, the image. */ -}}

{{- define "labelstream.name" -}}
{{- $name := default .Release.Name .Values.fullnameOverride -}}
{{- if or (gt (len $name) 47) (not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name)) -}}
{{- fail (printf "fullnameOverride: KubeRay takes no RayService called %q: at most 47 small letters, digits and dashes, a letter first; name another release, or set fullnameOverride" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "labelstream.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: labelstream
app.kubernetes.io/instance: {{ include "labelstream.name" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- /* Labels of all pods, without app.kubernetes.io/name: the head's Service selects KubeRay's value of that label. */ -}}
{{- define "labelstream.selector" -}}
app.kubernetes.io/instance: {{ include "labelstream.name" . }}
app.kubernetes.io/part-of: labelstream
{{- end -}}

{{- define "labelstream.image" -}}
{{- with .Values.image -}}
{{- if not .repository -}}
{{- fail "image.repository: there is no image to pull; build one with deploy/Dockerfile, push it, and name it here" -}}
{{- end -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "labelstream.serviceAccount" -}}
{{- if or .Values.serviceAccount.create .Values.serviceAccount.name -}}
{{- default (include "labelstream.name" .) .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}
