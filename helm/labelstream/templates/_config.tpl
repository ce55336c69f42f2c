{{- /* Turns the config in the values into the config for Serve. */ -}}

{{- /* Labels in Ray of the nodes with Kafka's secrets: `head` and `workers`. */ -}}
{{- define "labelstream.kafkaLabels" -}}
labelstream/kafka: allowed
{{- end -}}

{{- /* The config as given, as YAML. */ -}}
{{- define "labelstream.given" -}}
{{- $config := .Values.config -}}
{{- if kindIs "string" $config -}}
{{- $config = fromYaml $config -}}
{{- if hasKey $config "Error" -}}
{{- fail (printf "config: is not valid YAML (%s): check indentation and quotes" $config.Error) -}}
{{- end -}}
{{- end -}}
{{- range $key := list "kafka" "models" "pipelines" -}}
{{- if not (kindIs "map" (index $config $key)) -}}
{{- fail (printf "config.%s: is missing; give the config of `labelstream run -c`: --set-file config=labelstream.yaml, or as a map in your values" $key) -}}
{{- end -}}
{{- end -}}
{{- $config | toYaml -}}
{{- end -}}

{{- /* The config for Serve, as YAML, completed from the other values. */ -}}
{{- define "labelstream.config" -}}
{{- $config := include "labelstream.given" . | fromYaml -}}
{{- $security := default dict $config.kafka.security -}}
{{- range $key := list "password" "key_password" -}}
{{- if not (kindIs "invalid" (index $security $key)) -}}
{{- $value := ternary "kafka.passwordSecret.name" "kafka.tls.keyPasswordSecret.name" (eq $key "password") -}}
{{- fail (printf "config.kafka.security.%s: secrets do not belong in the config; put it into a Kubernetes secret, and name that in %s" $key $value) -}}
{{- end -}}
{{- end -}}
{{- $tls := .Values.kafka.tls -}}
{{- if $tls.secret -}}
{{- if not (contains "SSL" (default "" $security.protocol)) -}}
{{- fail "kafka.tls.secret: TLS files have no effect with this protocol; set config.kafka.security.protocol to SSL or SASL_SSL" -}}
{{- end -}}
{{- range $key, $file := dict "ca_file" $tls.ca "cert_file" $tls.cert "key_file" $tls.key -}}
{{- if $file -}}
{{- if index $security $key -}}
{{- fail (printf "config.kafka.security.%s: comes beside kafka.tls.secret, which sets it; remove one of the two" $key) -}}
{{- end -}}
{{- $_ := set $security $key (printf "%s/%s" (trimSuffix "/" $tls.mountPath) $file) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $config.kafka "security" $security -}}
{{- end -}}
{{- range $file, $secret := dict "password" .Values.kafka.passwordSecret "key_password" $tls.keyPasswordSecret -}}
{{- if $secret.name -}}
{{- $key := printf "%s_file" $file -}}
{{- if index $security $key -}}
{{- $value := ternary "kafka.passwordSecret.name" "kafka.tls.keyPasswordSecret.name" (eq $file "password") -}}
{{- fail (printf "config.kafka.security.%s: comes beside %s, which sets it; remove one of the two" $key $value) -}}
{{- end -}}
{{- $_ := set $security $key (printf "%s/%s" (include "labelstream.secretsFolder" "kafka-login") $file) -}}
{{- $_ := set $config.kafka "security" $security -}}
{{- end -}}
{{- end -}}
{{- if not $config.kafka.node_labels -}}
{{- $_ := set $config.kafka "node_labels" (include "labelstream.kafkaLabels" . | fromYaml) -}}
{{- end -}}
{{- range $name, $model := $config.models -}}
{{- $gpus := index $model "num_gpus" -}}
{{- if and (or (kindIs "invalid" $gpus) (eq "auto" (toString $gpus))) (eq "auto" (default "auto" $model.device)) -}}
{{- /* Whether a group has GPUs. Ray cannot tell: the config is deployed before the pods exist. */ -}}
{{- $_ := set $model "num_gpus" (ternary 1 0 (eq "true" (include "labelstream.hasGpus" $))) -}}
{{- end -}}
{{- end -}}
{{- $config | toYaml -}}
{{- end -}}

{{- define "labelstream.hasGpus" -}}
{{- $found := false -}}
{{- range $name, $group := .Values.modelGroups -}}
{{- if $group -}}
{{- if $group.gpu -}}{{- $found = true -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $found -}}
{{- end -}}
