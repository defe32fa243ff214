package main

// The differences from ZooKeeper that are wanted. docs/differences.md tells users about them; a name here is the heading
// there. Everything else that differs is a mistake.
const (
	// ZooKeeper closes a session's connection when anybody asks to attach the session, before it looks at the
	// password. So whoever knows or guesses a session id can disturb its client. Holt looks first.
	wrongPasswordKeepsConnection = "a wrong password does not disturb the session"
)

// wantedDifference is one that shows in the answer to a request.
type wantedDifference struct {
	name    string
	applies func(ref, sub *canonical) bool
}

var wantedDifferences = []wantedDifference{}

// wantedReply names the wanted difference between two answers, or "". Either may be nil: nothing came.
func wantedReply(ref, sub *canonical) string {
	for _, d := range wantedDifferences {
		if d.applies(ref, sub) {
			return d.name
		}
	}
	return ""
}
