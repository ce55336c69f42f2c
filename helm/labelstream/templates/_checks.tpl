{{- /* Refuses values that cannot work; each error names the key and the fix. */ -}}

{{- define "labelstream.check" -}}
{{- $config := include "labelstream.config" . | fromYaml -}}
{{- $groups := (include "labelstream.groups" . | fromJson).groups -}}
{{- include "labelstream.checkHttp" (dict "values" .Values "http" $config.http) -}}
{{- include "labelstream.checkLogin" (dict "values" .Values "kafka" $config.kafka) -}}
{{- include "labelstream.checkEnvironment" . -}}
{{- include "labelstream.checkLabels" . -}}
{{- include "labelstream.checkGroups" (dict "values" .Values "groups" $groups "config" $config) -}}
{{- range (include "labelstream.models" $config | fromJson).models -}}
{{- include "labelstream.checkModel" (dict "values" $.Values "groups" $groups "model" .) -}}
{{- end -}}
{{- if and .Values.gcsFaultTolerance.enabled (not .Values.gcsFaultTolerance.redisAddress) -}}
{{- fail "gcsFaultTolerance.redisAddress: is empty; name the Redis that keeps the head's state, as redis:6379" -}}
{{- end -}}
{{- if .Values.modelCache.fetch.enabled -}}
{{- if not (has .Values.modelCache.kind (list "claim" "existingClaim")) -}}
{{- fail (printf "modelCache.fetch.enabled: modelCache.kind %s has no claim to fill; set it to claim or existingClaim" .Values.modelCache.kind) -}}
{{- end -}}
{{- if .Values.hub.offline -}}
{{- fail "modelCache.fetch.enabled: has no effect with hub.offline, because the job cannot reach the hub; remove one of the two" -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.modelCache.kind "existingClaim") (not .Values.modelCache.existingClaim) -}}
{{- fail "modelCache.existingClaim: is empty; name the PersistentVolumeClaim" -}}
{{- end -}}
{{- end -}}

{{- define "labelstream.checkHttp" -}}
{{- $values := .values.http -}}
{{- $policy := .values.networkPolicy -}}
{{- if not .http -}}
{{- range $key, $value := dict "tokenSecret.name" $values.tokenSecret.name "tls.secret" $values.tls.secret "ingress.enabled" $values.ingress.enabled -}}
{{- if $value -}}
{{- fail (printf "http.%s: has no effect, because the config has no http; add `http: {}` to the config" $key) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- $names := list -}}
{{- range .values.extraEnv -}}{{- $names = append $names .name -}}{{- end -}}
{{- if not (or .http.token_file .values.extraEnvFrom (has "LABELSTREAM_HTTP__TOKEN" $names)) -}}
{{- fail "http.tokenSecret.name: is empty, and other pods reach HTTP; name a secret that holds a long random text" -}}
{{- end -}}
{{- $port := int .http.port -}}
{{- /* The range is Ray's client server and worker processes. */ -}}
{{- if or (has $port (list 6379 8080 8265 44217 44227 52365)) (and (gt $port 10000) (lt $port 20000)) -}}
{{- fail (printf "config.http.port: Ray may listen on %d; choose another port, such as 8000" $port) -}}
{{- end -}}
{{- if $values.ingress.enabled -}}
{{- $host := $values.ingress.host -}}
{{- if not $host -}}
{{- fail "http.ingress.host: is empty; name the host of the Ingress, as models.example.com" -}}
{{- end -}}
{{- $allowed := empty .http.allowed_hosts -}}
{{- range .http.allowed_hosts -}}
{{- if or (eq . $host) (and (hasPrefix "*." .) (hasSuffix (trimPrefix "*" .) $host)) -}}{{- $allowed = true -}}{{- end -}}
{{- end -}}
{{- if not $allowed -}}
{{- fail (printf "http.ingress.host: config.http.allowed_hosts has no %s, and each request would get 403; add the host there" $host) -}}
{{- end -}}
{{- if and $policy.enabled (not (or $policy.http.from $policy.extraIngress)) -}}
{{- fail "networkPolicy.http.from: is empty, so the Ingress reaches nothing; name the pods of the Ingress controller" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "labelstream.checkLogin" -}}
{{- $kafka := .values.kafka -}}
{{- $security := default dict (default dict .kafka).security -}}
{{- if and (not .kafka) (or $kafka.usernameSecret.name $kafka.passwordSecret.name $kafka.tls.secret) -}}
{{- fail "kafka: its secrets have no effect, because the config has no kafka; remove them, or add kafka to the config" -}}
{{- end -}}
{{- range $key, $secret := dict "usernameSecret" $kafka.usernameSecret "passwordSecret" $kafka.passwordSecret -}}
{{- if and $secret.name (not (hasPrefix "SASL" (default "" $security.protocol))) -}}
{{- fail (printf "kafka.%s.name: a login has no effect with this protocol; set config.kafka.security.protocol to SASL_SSL" $key) -}}
{{- end -}}
{{- end -}}
{{- $named := or .values.kafka.passwordSecret.name $security.password_file .values.extraEnv .values.extraEnvFrom -}}
{{- if and (hasPrefix "SASL" (default "" $security.protocol)) (not $named) -}}
{{- fail (printf "kafka.passwordSecret.name: %s needs a password; name a secret that holds it" $security.protocol) -}}
{{- end -}}
{{- end -}}

{{- /* A plain value is visible to everybody who may read the RayService or Helm's record of the release. */ -}}
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
{{- fail (printf "modelGroups.%s: the name is taken by another group; choose another name" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- $key := ternary "workers" (printf "modelGroups.%s" .name) (eq .name "workers") -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail (printf "%s.minReplicas: %d is more than maxReplicas (%d); lower it, or raise maxReplicas" $key (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- range $name, $count := .values.podDisruptionBudgets -}}
{{- if not (has $name $names) -}}
{{- fail (printf "podDisruptionBudgets.%s: unknown group; known: %s" $name (join ", " $names)) -}}
{{- end -}}
{{- end -}}
{{- $workers := index .groups 0 -}}
{{- $needed := include "labelstream.podsFor" (dict "values" .values "config" .config "name" "workers" "group" .values.workers "which" "min") | int -}}
{{- if gt $needed (int $workers.maxReplicas) -}}
{{- fail (printf "workers.maxReplicas: %d pods are too few for the config's minimum of %d (workers.min of the pipelines, replicas.min of http and of models without GPU); raise it or workers.cpu, or leave it empty" (int $workers.maxReplicas) $needed) -}}
{{- end -}}
{{- end -}}

{{- /* Whether one replica fits into a pod, and the smallest number of replicas into all pods. */ -}}
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
{{- fail (printf "modelGroups.%s.maxReplicas: is empty; config.models.%s may run in several groups (%s): set maxReplicas of each" .name $model.name (keys $for | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not $holds -}}
{{- fail (printf "modelGroups: no pod is large enough for config.models.%s, whose replicas ask for %v GPUs and %v CPUs; raise cpu or gpu of a group (%s), or lower num_cpus or num_gpus" $model.name $model.gpus $model.cpus (keys $for | sortAlpha | join ", ")) -}}
{{- end -}}
{{- if lt (int $room) (int $model.min) -}}
{{- fail (printf "modelGroups: config.models.%s needs at least %d replicas, and the groups have room for %d; raise maxReplicas of a group (%s)" $model.name (int $model.min) (int $room) (keys $for | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
