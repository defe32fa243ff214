package shell

import (
	"errors"
	"fmt"

	"holt/netloop/wire"
)

// codeError is a refusal by the server.
type codeError wire.Code

func (e codeError) Error() string {
	if name := codeNames[wire.Code(e)]; name != "" {
		return "KeeperErrorCode = " + name
	}
	return fmt.Sprintf("KeeperErrorCode = %d", int32(e))
}

// codeNames are the words of ZooKeeper's KeeperException, which scripts look for.
var codeNames = map[wire.Code]string{
	wire.CodeSystemError: "SystemError", wire.CodeRuntimeInconsistency: "RuntimeInconsistency",
	wire.CodeDataInconsistency: "DataInconsistency", wire.CodeMarshallingError: "MarshallingError",
	wire.CodeUnimplemented: "Unimplemented", wire.CodeOperationTimeout: "OperationTimeout",
	wire.CodeBadArguments: "BadArguments", wire.CodeNewConfigNoQuorum: "NewConfigNoQuorum",
	wire.CodeReconfigInProgress: "ReconfigInProgress", wire.CodeNoNode: "NoNode", wire.CodeNoAuth: "NoAuth",
	wire.CodeBadVersion: "BadVersion", wire.CodeNoChildrenForEphemerals: "NoChildrenForEphemerals",
	wire.CodeNodeExists: "NodeExists", wire.CodeNotEmpty: "Directory not empty", wire.CodeSessionExpired: "Session expired",
	wire.CodeInvalidACL: "InvalidACL", wire.CodeAuthFailed: "AuthFailed", wire.CodeSessionMoved: "Session moved",
	wire.CodeNotReadOnly: "Not a read-only call", wire.CodeEphemeralOnLocalSession: "Ephemeral node on local session",
	wire.CodeNoWatcher: "No such watcher", wire.CodeReconfigDisabled: "Reconfig is disabled",
	wire.CodeSessionClosedNeedSASL: "Session closed because client failed to authenticate",
	wire.CodeQuotaExceeded:         "Quota has exceeded", wire.CodeThrottledOp: "Op throttled due to high load",
}

// pathMessages are what zkCli prints for the common refusals, before the path.
var pathMessages = map[wire.Code]string{
	wire.CodeNodeExists: "Node already exists: ", wire.CodeNoNode: "Node does not exist: ", wire.CodeNotEmpty: "Node not empty: ",
	wire.CodeNoChildrenForEphemerals: "Ephemerals cannot have children: ", wire.CodeInvalidACL: "Acl is not valid : ",
	wire.CodeNoAuth: "Insufficient permission : ", wire.CodeBadArguments: "Arguments are not valid : ",
	wire.CodeBadVersion: "version No is not valid : ", wire.CodeQuotaExceeded: "Quota has exceeded : ",
}

// pathError puts an error in zkCli's words.
type pathError struct {
	path string
	err  error
}

func (e *pathError) Unwrap() error { return e.err }

func (e *pathError) Error() string {
	var code codeError
	if !errors.As(e.err, &code) {
		return e.err.Error()
	}
	if message := pathMessages[wire.Code(code)]; message != "" {
		return message + e.path
	}
	return code.Error() + " for " + e.path
}

// about names the path that an error is about; nil stays nil.
func about(path string, err error) error {
	if err == nil {
		return nil
	}
	return &pathError{path, err}
}

// isCode says whether an error is that refusal.
func isCode(err error, code wire.Code) bool {
	var c codeError
	return errors.As(err, &c) && wire.Code(c) == code
}

// usageError is a command that was written wrongly; its usage is printed with it.
type usageError string

func (e usageError) Error() string { return string(e) }

func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }
