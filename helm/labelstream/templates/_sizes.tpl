{{- /* Pods of each group; see "How many machines" in the chart's README. Helpers return JSON. */ -}}

{{- /* {"min", "max"} of `workers` or `replicas`, which the config gives as nothing, a number or a map. */ -}}
{{- define "labelstream.range" -}}
{{- $range := dict "min" 1 "max" 1 -}}
{{- if kindIs "map" . -}}
{{- $range = merge (dict) . $range -}}
{{- else if not (kindIs "invalid" .) -}}
{{- $range = dict "min" . "max" . -}}
{{- end -}}
{{- dict "min" (int $range.min) "max" (int $range.max) | toJson -}}
{{- end -}}

{{- /* {"min", "max"}: replicas that reserve one CPU: stream workers of all pipelines, and the HTTP gateway. */ -}}
{{- define "labelstream.oneCpu" -}}
{{- $min := 0 -}}
{{- $max := 0 -}}
{{- range $name, $pipeline := .pipelines -}}
{{- $range := include "labelstream.range" $pipeline.workers | fromJson -}}
{{- $min = add $min $range.min -}}
{{- $max = add $max $range.max -}}
{{- end -}}
{{- with .http -}}
{{- $range := include "labelstream.range" .replicas | fromJson -}}
{{- $min = add $min $range.min -}}
{{- $max = add $max $range.max -}}
{{- end -}}
{{- dict "min" $min "max" $max | toJson -}}
{{- end -}}

{{- /* {"models": [{"name", "min", "max", "gpus", "cpus"}]}: models that a pipeline uses, and with HTTP all. Others get no replica. */ -}}
{{- define "labelstream.models" -}}
{{- $config := . -}}
{{- $used := list -}}
{{- range $name, $pipeline := $config.pipelines -}}
{{- $used = concat $used (list $pipeline.model) (default list $pipeline.models) -}}
{{- end -}}
{{- if .http -}}{{- $used = keys $config.models -}}{{- end -}}
{{- $models := list -}}
{{- range $name := $used | uniq | sortAlpha -}}
{{- $model := index $config.models $name -}}
{{- if not $model -}}
{{- fail (printf "config.pipelines: there is no model %q under config.models (known: %s)" $name (keys $config.models | sortAlpha | join ", ")) -}}
{{- end -}}
{{- $gpus := index $model "num_gpus" -}}
{{- if or (kindIs "invalid" $gpus) (eq "auto" (toString $gpus)) -}}
{{- $gpus = ternary 1 0 (eq "cuda" (default "auto" $model.device)) -}}
{{- end -}}
{{- $cpus := ternary (index $model "num_cpus") 1 (hasKey $model "num_cpus") -}}
{{- $range := include "labelstream.range" $model.replicas | fromJson -}}
{{- $models = append $models (dict "name" $name "min" $range.min "max" $range.max "gpus" $gpus "cpus" $cpus) -}}
{{- end -}}
{{- dict "models" $models | toJson -}}
{{- end -}}

{{- /* Replicas of `model` that fit into one pod of `group`. */ -}}
{{- define "labelstream.slots" -}}
{{- $slots := 1000000 -}}
{{- if gt (float64 .model.cpus) 0.0 -}}
{{- $slots = min $slots (divf .group.cpu .model.cpus | floor | int) -}}
{{- end -}}
{{- if gt (float64 .model.gpus) 0.0 -}}
{{- $slots = min $slots (divf (default 0 .group.gpu) .model.gpus | floor | int) -}}
{{- end -}}
{{- $slots -}}
{{- end -}}

{{- /* {"groups": {name: group}}: groups whose pods may run `model`. */ -}}
{{- define "labelstream.groupsFor" -}}
{{- $wantsGpu := gt (float64 .model.gpus) 0.0 -}}
{{- $found := dict -}}
{{- range $name, $group := .values.modelGroups -}}
{{- if $group -}}
{{- if eq $wantsGpu (gt (int (default 0 $group.gpu)) 0) -}}{{- $_ := set $found $name $group -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if not (or $wantsGpu $found) -}}{{- $_ := set $found "workers" .values.workers -}}{{- end -}}
{{- dict "groups" $found | toJson -}}
{{- end -}}

{{- /* Pods of the group `name` for `which` ("min" or "max") of everything that may run in it. */ -}}
{{- define "labelstream.podsFor" -}}
{{- $context := . -}}
{{- $pods := 0 -}}
{{- if eq .name "workers" -}}
{{- $workers := include "labelstream.oneCpu" .config | fromJson -}}
{{- $pods = divf (index $workers .which) .group.cpu | ceil | int -}}
{{- end -}}
{{- range (include "labelstream.models" .config | fromJson).models -}}
{{- $groups := (include "labelstream.groupsFor" (dict "values" $context.values "model" .) | fromJson).groups -}}
{{- $slots := include "labelstream.slots" (dict "model" . "group" $context.group) | int -}}
{{- if and (hasKey $groups $context.name) (gt $slots 0) -}}
{{- $pods = add $pods (divf (index . $context.which) $slots | ceil | int) -}}
{{- end -}}
{{- end -}}
{{- $pods -}}
{{- end -}}

{{- /* {"groups": [..]}: the rendered groups, with name, minReplicas and maxReplicas. */ -}}
{{- define "labelstream.groups" -}}
{{- $root := . -}}
{{- $config := include "labelstream.config" . | fromYaml -}}
{{- $groups := list (merge (dict "name" "workers") .Values.workers) -}}
{{- range $name := keys .Values.modelGroups | sortAlpha -}}
{{- with index $root.Values.modelGroups $name -}}
{{- $groups = append $groups (merge (dict "name" $name) .) -}}
{{- end -}}
{{- end -}}
{{- $sized := list -}}
{{- range $group := $groups -}}
{{- $context := dict "values" $root.Values "config" $config "name" .name "group" . -}}
{{- $atMost := include "labelstream.podsFor" (merge (dict "which" "max") $context) | int -}}
{{- $max := .maxReplicas -}}
{{- if kindIs "invalid" $max -}}{{- $max = max 1 $atMost -}}{{- end -}}
{{- $min := .minReplicas -}}
{{- if kindIs "invalid" $min -}}
{{- $atLeast := include "labelstream.podsFor" (merge (dict "which" "min") $context) | int -}}
{{- $min = min $max (ternary (max 1 $atLeast) 0 (eq .name "workers")) -}}
{{- end -}}
{{- $sized = append $sized (merge (dict "minReplicas" (int $min) "maxReplicas" (int $max) "wanted" $atMost) .) -}}
{{- end -}}
{{- dict "groups" $sized | toJson -}}
{{- end -}}
