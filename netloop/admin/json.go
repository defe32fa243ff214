package admin

import (
	"encoding/json"
	"strconv"
	"strings"
)

// object is a JSON object whose fields keep their order; the AdminServer's answers are read by people, too.
type object []field

type field struct {
	key   string
	value any // nil, bool, string, int, int64, literal, object or list
}

type (
	list    []any
	literal string // a number as it is to be written
)

func (o *object) add(key string, value any) { *o = append(*o, field{key, value}) }

// String lays an object out as the reference does: fields on lines of their own with spaces around the colon, lists on one line.
func (o object) String() string {
	var b strings.Builder
	o.write(&b, "")
	return b.String()
}

func (o object) write(b *strings.Builder, indent string) {
	if len(o) == 0 {
		b.WriteString("{ }")
		return
	}
	b.WriteString("{\n")
	for i, f := range o {
		b.WriteString(indent + "  " + quote(f.key) + " : ")
		writeValue(b, f.value, indent+"  ")
		if i < len(o)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString(indent + "}")
}

func writeValue(b *strings.Builder, v any, indent string) {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case string:
		b.WriteString(quote(v))
	case literal:
		b.WriteString(string(v))
	case int:
		b.WriteString(strconv.Itoa(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case object:
		v.write(b, indent)
	case list:
		b.WriteString("[ ")
		for i, e := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			writeValue(b, e, indent)
		}
		if len(v) > 0 {
			b.WriteByte(' ')
		}
		b.WriteByte(']')
	default:
		panic("admin: a value that JSON answers do not have")
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s) // cannot fail for a string
	return string(b)
}
