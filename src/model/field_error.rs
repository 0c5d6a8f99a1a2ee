//! What is wrong with a value that somebody sent.

/// One refusal, at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name; within an object or a list, the names and numbers that lead to it with dots
    /// between (`meta.appName`, `fields.3.name`), which a client gets as objects in each other.
    pub field: String,
    /// `validation_…`, for programs.
    pub code: &'static str,
    /// For people, without its final dot.
    pub message: String,
    /// The numbers and words in the message.
    pub params: Vec<(&'static str, serde_json::Value)>,
}

impl FieldError {
    /// A refusal whose message has no parameters.
    #[must_use]
    pub fn new(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.into(), code, message: message.into(), params: Vec::new() }
    }

    /// Nothing is there where something has to be.
    #[must_use]
    pub fn required(field: impl Into<String>) -> Self {
        Self::new(field, "validation_required", "Cannot be blank")
    }

    /// The same with a parameter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Self {
        self.params.push((name, value.into()));
        self
    }
}
