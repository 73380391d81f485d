// Empty: the compiler takes functions without a body (target.go links them) only beside a file like this.
