{{- define "roadstead.image" -}}
{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .version }}{{ end }}
{{- end }}
{{- define "roadstead.apiPorts" -}}
{{- $ports := list -}}
{{- range .Values.operator.apiPorts }}{{ $ports = append $ports (dict "protocol" "TCP" "port" .) }}{{ end -}}
{{ toJson $ports }}
{{- end }}
