{{- /* What cannot work is refused here, by the key and with the fix. */ -}}

{{- define "labelstream.check" -}}
{{- $config := include "labelstream.config" . | fromYaml -}}
{{- $groups := (include "labelstream.groups" . | fromJson).groups -}}
{{- include "labelstream.checkLogin" (dict "values" .Values "security" (default dict $config.kafka.security)) -}}
{{- include "labelstream.checkEnvironment" . -}}
{{- include "labelstream.checkLabels" . -}}
{{- include "labelstream.checkGroups" (dict "values" .Values "groups" $groups "config" $config) -}}
{{- range (include "labelstream.models" $config | fromJson).models -}}
{{- include "labelstream.checkModel" (dict "values" $.Values "groups" $groups "model" .) -}}
{{- end -}}
{{- if and .Values.gcsFaultTolerance.enabled (not .Values.gcsFaultTolerance.redisAddress) -}}
{{- fail "gcsFaultTolerance.redisAddress: is missing; name the Redis that keeps the head's state, as redis:6379" -}}
{{- end -}}
{{- if .Values.modelCache.fetch.enabled -}}
{{- if not (has .Values.modelCache.kind (list "claim" "existingClaim")) -}}
{{- fail (printf "modelCache.fetch.enabled: a job has nothing to fill with modelCache.kind %s; set that to claim or existingClaim" .Values.modelCache.kind) -}}
{{- end -}}
{{- if .Values.hub.offline -}}
{{- fail "modelCache.fetch.enabled: comes beside hub.offline, so that the job reaches no hub; remove one of the two" -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.modelCache.kind "existingClaim") (not .Values.modelCache.existingClaim) -}}
{{- fail "modelCache.existingClaim: is missing; name the PersistentVolumeClaim" -}}
{{- end -}}
{{- end -}}

{{- define "labelstream.checkLogin" -}}
{{- $kafka := .values.kafka -}}
{{- range $key, $secret := dict "usernameSecret" $kafka.usernameSecret "passwordSecret" $kafka.passwordSecret -}}
{{- if and $secret.name (not (hasPrefix "SASL" (default "" $.security.protocol))) -}}
{{- fail (printf "kafka.%s.name: a login has no effect with this protocol; set config.kafka.security.protocol to SASL_SSL" $key) -}}
{{- end -}}
{{- end -}}
{{- $named := or .values.kafka.passwordSecret.name .security.password_file .values.extraEnv .values.extraEnvFrom -}}
{{- if and (hasPrefix "SASL" (default "" .security.protocol)) (not $named) -}}
{{- fail (printf "kafka.passwordSecret.name: %s needs a password; name a secret that holds it" .security.protocol) -}}
{{- end -}}
{{- end -}}

{{- /* A plain value would stand in the RayService for everybody who may read it, and in Helm's record of the release. */ -}}
{{- define "labelstream.checkEnvironment" -}}
{{- $all := concat .Values.extraEnv (default list .Values.head.env) (default list .Values.workers.env) -}}
{{- range $group := .Values.modelGroups -}}
{{- if $group -}}{{- $all = concat $all (default list $group.env) -}}{{- end -}}
{{- end -}}
{{- range $all -}}
{{- if and .value (regexMatch "(PASS|PASSWD|PASSWORD|TOKEN|SECRET|_KEY|CREDENTIALS|_HEADERS)$" .name) -}}
{{- fail (printf "extraEnv: %s is a secret; take it from one with valueFrom.secretKeyRef" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "labelstream.checkLabels" -}}
{{- $all := list .Values.podLabels -}}
{{- range $group := append (values .Values.modelGroups) .Values.workers -}}
{{- if $group -}}{{- $all = append $all (default dict $group.labels) -}}{{- end -}}
{{- end -}}
{{- range $labels := append $all (default dict .Values.head.labels) -}}
{{- range $key := keys $labels | sortAlpha -}}
{{- if or (hasPrefix "ray.io/" $key) (has (trimPrefix "app.kubernetes.io/" $key) (list "name" "created-by" "instance" "part-of" "component")) -}}
{{- fail (printf "podLabels: %s belongs to KubeRay or to this chart, whose Services and policies look for it; name another label" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "labelstream.checkGroups" -}}
{{- $names := list "head" -}}
{{- range .groups -}}
{{- if has .name $names -}}
{{- fail (printf "modelGroups.%s: there is a group of that name already; name another one" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- $key := ternary "workers" (printf "modelGroups.%s" .name) (eq .name "workers") -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail (printf "%s.minReplicas: %d is more than maxReplicas (%d)" $key (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- range $name, $count := .values.podDisruptionBudgets -}}
{{- if not (has $name $names) -}}
{{- fail (printf "podDisruptionBudgets.%s: there is no such group (known: %s)" $name (join ", " $names)) -}}
{{- end -}}
{{- end -}}
{{- $workers := index .groups 0 -}}
{{- $needed := include "labelstream.podsFor" (dict "values" .values "config" .config "name" "workers" "group" .values.workers "which" "min") | int -}}
{{- if gt $needed (int $workers.maxReplicas) -}}
{{- fail (printf "workers.maxReplicas: %d pods never hold the least that the config asks for (workers.min of the pipelines, replicas.min of models without GPU), which takes %d; raise it or workers.cpu, or leave it empty" (int $workers.maxReplicas) $needed) -}}
{{- end -}}
{{- end -}}

{{- /* Is there a place for a replica, and for as many as there are to be at least? */ -}}
{{- define "labelstream.checkModel" -}}
{{- $context := . -}}
{{- $model := .model -}}
{{- $for := (include "labelstream.groupsFor" (dict "values" .values "model" .model) | fromJson).groups -}}
{{- if not $for -}}
{{- fail (printf "modelGroups: no group has GPUs, but config.models.%s asks for %v of one; set modelGroups.gpu.gpu, or config.models.%s.num_gpus to 0" $model.name $model.gpus $model.name) -}}
{{- end -}}
{{- $room := 0 -}}
{{- $holds := false -}}
{{- range .groups -}}
{{- if hasKey $for .name -}}
{{- $slots := include "labelstream.slots" (dict "model" $model "group" .) | int -}}
{{- if gt $slots 0 -}}{{- $holds = true -}}{{- end -}}
{{- $room = add $room (mul $slots .maxReplicas) -}}
{{- if and (eq .name "workers" | not) (gt (len $for) 1) (kindIs "invalid" (index $context.values.modelGroups .name).maxReplicas) -}}
{{- fail (printf "modelGroups.%s.maxReplicas: is missing; config.models.%s may run in several groups (%s), so say of each how large it may get" .name $model.name (keys $for | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not $holds -}}
{{- fail (printf "modelGroups: no pod is large enough for config.models.%s, whose replicas ask for %v GPUs and %v CPUs; raise cpu or gpu of a group (%s), or lower num_cpus or num_gpus" $model.name $model.gpus $model.cpus (keys $for | sortAlpha | join ", ")) -}}
{{- end -}}
{{- if lt (int $room) (int $model.min) -}}
{{- fail (printf "modelGroups: config.models.%s asks for %d replicas at least, and there is room for %d; raise maxReplicas of a group (%s)" $model.name (int $model.min) (int $room) (keys $for | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
