package netloop

// fourLetters looks whether a fresh connection begins with a four-letter word; if so it is handed over and true
// returned. b is all that has been received.
func (l *loop) fourLetters(c *conn, b []byte) bool { return false }
