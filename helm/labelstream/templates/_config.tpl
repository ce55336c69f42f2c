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
{{- $needed := list "kafka" "models" "pipelines" -}}
{{- if and (kindIs "map" $config.http) (not $config.pipelines) -}}{{- $needed = list "models" -}}{{- end -}}
{{- range $key := $needed -}}
{{- if not (kindIs "map" (index $config $key)) -}}
{{- fail (printf "config.%s: is missing; give the config of `labelstream run -c`: --set-file config=labelstream.yaml, or as a map in your values" $key) -}}
{{- end -}}
{{- end -}}
{{- $config | toYaml -}}
{{- end -}}

{{- /* Completes `kafka` of the config. */ -}}
{{- define "labelstream.completeKafka" -}}
{{- $kafka := .kafka -}}
{{- $security := default dict $kafka.security -}}
{{- range $key := list "password" "key_password" -}}
{{- if not (kindIs "invalid" (index $security $key)) -}}
{{- $value := ternary "kafka.passwordSecret.name" "kafka.tls.keyPasswordSecret.name" (eq $key "password") -}}
{{- fail (printf "config.kafka.security.%s: secrets do not belong in the config; put it into a Kubernetes secret, and name that in %s" $key $value) -}}
{{- end -}}
{{- end -}}
{{- $tls := .values.kafka.tls -}}
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
{{- $_ := set $kafka "security" $security -}}
{{- end -}}
{{- range $file, $secret := dict "password" .values.kafka.passwordSecret "key_password" $tls.keyPasswordSecret -}}
{{- if $secret.name -}}
{{- $key := printf "%s_file" $file -}}
{{- if index $security $key -}}
{{- $value := ternary "kafka.passwordSecret.name" "kafka.tls.keyPasswordSecret.name" (eq $file "password") -}}
{{- fail (printf "config.kafka.security.%s: comes beside %s, which sets it; remove one of the two" $key $value) -}}
{{- end -}}
{{- $_ := set $security $key (printf "%s/%s" (include "labelstream.secretsFolder" "kafka-login") $file) -}}
{{- $_ := set $kafka "security" $security -}}
{{- end -}}
{{- end -}}
{{- if not $kafka.node_labels -}}
{{- $_ := set $kafka "node_labels" (include "labelstream.kafkaLabels" nil | fromYaml) -}}
{{- end -}}
{{- end -}}

{{- /* Completes `http` of the config: an address that other pods reach, and files of the mounted secrets. */ -}}
{{- define "labelstream.completeHttp" -}}
{{- $http := .http -}}
{{- if not (kindIs "invalid" $http.token) -}}
{{- fail "config.http.token: secrets do not belong in the config; put it into a Kubernetes secret, and name that in http.tokenSecret.name" -}}
{{- end -}}
{{- $host := default "0.0.0.0" $http.host -}}
{{- if not (has $host (list "0.0.0.0" "::")) -}}
{{- fail (printf "config.http.host: no other pod reaches %s; remove host, and the chart sets 0.0.0.0" $host) -}}
{{- end -}}
{{- $_ := set $http "host" $host -}}
{{- $_ := set $http "port" (int (default 8000 $http.port)) -}}
{{- $given := dict -}}
{{- if .values.tokenSecret.name -}}
{{- $_ := set $given "token_file" (printf "%s/token" (include "labelstream.secretsFolder" "http-token")) -}}
{{- end -}}
{{- if .values.tls.secret -}}
{{- $_ := set $given "cert_file" (printf "%s/%s" (include "labelstream.secretsFolder" "http-tls") .values.tls.cert) -}}
{{- $_ := set $given "key_file" (printf "%s/%s" (include "labelstream.secretsFolder" "http-tls") .values.tls.key) -}}
{{- end -}}
{{- range $key := list "token_file" "cert_file" "key_file" -}}
{{- $value := ternary "http.tokenSecret.name" "http.tls.secret" (eq $key "token_file") -}}
{{- $file := index $http $key -}}
{{- if and $file (hasKey $given $key) -}}
{{- fail (printf "config.http.%s: comes beside %s, which sets it; remove one of the two" $key $value) -}}
{{- else if and $file (not (hasPrefix "/" $file)) -}}
{{- fail (printf "config.http.%s: no pod has the file %s; remove the key, and name a secret with the file in %s" $key $file $value) -}}
{{- end -}}
{{- end -}}
{{- $_ := merge $http $given -}}
{{- end -}}

{{- /* The config for Serve, as YAML, completed from the other values. */ -}}
{{- define "labelstream.config" -}}
{{- $config := include "labelstream.given" . | fromYaml -}}
{{- with $config.kafka -}}{{- include "labelstream.completeKafka" (dict "values" $.Values "kafka" .) -}}{{- end -}}
{{- if kindIs "map" $config.http -}}
{{- include "labelstream.completeHttp" (dict "values" $.Values.http "http" $config.http) -}}
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

{{- /* `http` of the completed config, as JSON; {} without HTTP. */ -}}
{{- define "labelstream.http" -}}
{{- default dict (include "labelstream.config" . | fromYaml).http | toJson -}}
{{- end -}}
