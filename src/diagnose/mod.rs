//! Diagnosis: symptoms in, incidents with ranked and weighed causes out.
