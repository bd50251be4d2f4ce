//! Notification: what people should hear, out to Alertmanager and to webhooks.
