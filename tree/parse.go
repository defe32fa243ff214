package tree

import (
	"encoding/binary"
	"fmt"
)

// Bodies of commands, the other side of the Append functions. What they give
// aliases the batch.

func parseCreate(op Op, b []byte) (c Create, err error) {
	fixed := 4
	if op == OpCreateTTL {
		fixed += 8
	}
	if len(b) < fixed {
		return c, fmt.Errorf("create of %d bytes: %w", len(b), ErrMalformed)
	}
	c.Flags = int32(binary.LittleEndian.Uint32(b))
	if op == OpCreateTTL {
		c.TTLMs = int64(binary.LittleEndian.Uint64(b[4:]))
	}
	if c.Path, b, err = parseString(b[fixed:]); err != nil {
		return c, fmt.Errorf("path of a create: %w", err)
	}
	if c.Data, c.ACL, err = parseNullable(b); err != nil {
		return c, fmt.Errorf("data of a create: %w", err)
	}
	return c, nil
}

func parsePathVersion(b []byte) (path []byte, version int32, rest []byte, err error) {
	if len(b) < 4 {
		return nil, 0, nil, fmt.Errorf("version in %d bytes: %w", len(b), ErrMalformed)
	}
	version = int32(binary.LittleEndian.Uint32(b))
	if path, rest, err = parseString(b[4:]); err != nil {
		return nil, 0, nil, fmt.Errorf("path: %w", err)
	}
	return path, version, rest, nil
}

// onlyThat turns bytes left over into an error.
func onlyThat(rest []byte, err error) error {
	if err == nil && len(rest) > 0 {
		return fmt.Errorf("%d bytes too many: %w", len(rest), ErrMalformed)
	}
	return err
}

func parseSetData(b []byte) (d SetData, err error) {
	if d.Path, d.Version, b, err = parsePathVersion(b); err != nil {
		return d, err
	}
	d.Data, b, err = parseNullable(b)
	return d, onlyThat(b, err)
}

func parseReconfig(b []byte) (r Reconfig, err error) {
	for _, field := range []*[]byte{&r.Joining, &r.Leaving, &r.NewMembers} {
		if *field, b, err = parseNullable(b); err != nil {
			return r, fmt.Errorf("members of a reconfig: %w", err)
		}
	}
	if len(b) != 8 {
		return r, fmt.Errorf("config id in %d bytes: %w", len(b), ErrMalformed)
	}
	r.ConfigID = int64(binary.LittleEndian.Uint64(b))
	return r, nil
}

// parseSession reads the body of OpenSession and AttachSession.
func parseSession(b []byte) (s Session, err error) {
	if len(b) != 28 {
		return s, fmt.Errorf("session of %d bytes: %w", len(b), ErrMalformed)
	}
	s.ID = SessionID(binary.LittleEndian.Uint64(b))
	s.TimeoutMs = int32(binary.LittleEndian.Uint32(b[8:]))
	s.Password = [16]byte(b[12:])
	return s, nil
}

func parseCloseSession(b []byte) (c CloseSession, err error) {
	if len(b) != 9 || b[8] > 1 {
		return c, fmt.Errorf("close of %d bytes: %w", len(b), ErrMalformed)
	}
	return CloseSession{SessionID(binary.LittleEndian.Uint64(b)), b[8] == 1}, nil
}

func parseExpire(b []byte) (e Expire, err error) {
	if len(b) != 22 {
		return e, fmt.Errorf("expiry of %d bytes: %w", len(b), ErrMalformed)
	}
	e.ID = SessionID(binary.LittleEndian.Uint64(b))
	e.Owner = parseOrigin(b[8:])
	return e, nil
}

func parseReap(b []byte) (neverUsedMs int64, path []byte, err error) {
	if len(b) < 8 {
		return 0, nil, fmt.Errorf("reap of %d bytes: %w", len(b), ErrMalformed)
	}
	return int64(binary.LittleEndian.Uint64(b)), b[8:], nil
}
