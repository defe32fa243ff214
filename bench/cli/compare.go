package cli

import (
	"flag"
	"fmt"
	"io"

	"holt/bench"
)

// compare is holt bench compare.
func compare(args []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("holt bench compare", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	page := flags.String("html", "", "")
	words := []string{}
	for {
		if err := flags.Parse(args); err != nil {
			fmt.Fprintf(errOut, "holt bench compare: %v\n%s", err, compareUsage)
			return exitUsage
		}
		if flags.NArg() == 0 {
			break
		}
		words = append(words, flags.Arg(0))
		args = flags.Args()[1:]
	}
	if len(words) != 2 {
		fmt.Fprint(errOut, compareUsage)
		return exitUsage
	}
	var reports [2]*bench.Report
	for i, file := range words {
		r, err := bench.ReadJSON(file)
		if err != nil {
			fmt.Fprintf(errOut, "holt bench compare: %v\n", err)
			return exitError
		}
		reports[i] = r
	}
	if reports[0].Name == reports[1].Name {
		reports[0].Name, reports[1].Name = words[0], words[1]
	}
	bench.WriteComparison(out, reports[0], reports[1])
	if *page != "" {
		if err := bench.WritePageFile(*page, reports[:]...); err != nil {
			fmt.Fprintf(errOut, "holt bench compare: %v\n", err)
			return exitError
		}
	}
	return exitOK
}

const compareUsage = "usage: holt bench compare A.json B.json [--html FILE]\n"
