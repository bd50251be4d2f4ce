{{- define "jurymast.name" -}}
{{- .Release.Name | trunc 40 -}}
{{- end }}

{{- define "jurymast.labels" -}}
app.kubernetes.io/name: jurymast
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{- end }}

{{- define "jurymast.selector" -}}
app.kubernetes.io/name: jurymast
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- /* One container; also what a sidecar is. */ -}}
{{- define "jurymast.container" -}}
- name: jurymast
  image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [run, -c, /etc/jurymast/jurymast.yml{{ if .Values.observeOnly }}, --observe-only{{ end }}]
  ports: [{name: jurymast, containerPort: 9909}]
  readinessProbe: {httpGet: {path: /-/ready, port: jurymast}, periodSeconds: 2}
  livenessProbe: {httpGet: {path: /-/healthy, port: jurymast}, periodSeconds: 5, failureThreshold: 3}
  securityContext: {runAsNonRoot: true, runAsUser: 65532, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}
  resources: {{ .Values.resources | toJson }}
  volumeMounts:
    - {name: jurymast-config, mountPath: /etc/jurymast}
    - {name: jurymast-token, mountPath: /run/secrets/jurymast}
    - {name: jurymast-data, mountPath: /var/lib/jurymast}
{{- end }}

{{- /* The volumes of a sidecar: its journal outlives the container, not the pod. */ -}}
{{- define "jurymast.volumes" -}}
- {name: jurymast-config, configMap: {name: {{ include "jurymast.name" . | quote }}}}
- {name: jurymast-token, secret: {secretName: {{ .Values.tokenSecret | quote }}, defaultMode: 0440}}
{{- if ne .Values.mode "single" }}
- {name: jurymast-data, emptyDir: {}}
{{- end }}
{{- end }}
