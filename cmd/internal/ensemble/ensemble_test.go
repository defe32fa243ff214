package ensemble

import (
	"testing"
)

func TestConfigText(t *testing.T) {
	cfg := Config{Kind: Holt, Members: 3, Voters: 2, PortBase: 1000, Settings: map[string]string{"tickTime": "500"}}
	got := cfg.text(&Member{ID: 3, Dir: "/d"})
	want := `4lw.commands.whitelist=*
admin.enableServer=false
clientPort=1006
clientPortAddress=127.0.0.1
dataDir=/d/data
initLimit=10
maxClientCnxns=0
peerType=observer
server.1=127.0.0.1:1001:1002
server.2=127.0.0.1:1004:1005
server.3=127.0.0.1:1007:1008:observer
syncLimit=5
tickTime=500
`
	if got != want {
		t.Errorf("zoo.cfg of an observer: got\n%s\nwant\n%s", got, want)
	}
}
