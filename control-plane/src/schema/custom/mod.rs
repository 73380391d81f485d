//! The types that CRDs bring.
