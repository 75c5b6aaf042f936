// Verifies with Go's own transparency log (golang.org/x/mod/sumdb) what our library has made:
// reads JSON from standard input, says "ok" or what is wrong.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type asked struct {
	Key       string
	Notes     []string
	Leaves    [][]byte
	Inclusion []struct {
		Number, Size int64
		Hashes       [][]byte
	}
	Consistency []struct {
		First, Second int64
		Hashes        [][]byte
	}
}

func main() {
	var all asked
	must(json.NewDecoder(os.Stdin).Decode(&all))
	roots, leaves := rootsOf(all.Leaves)
	verifier, err := note.NewVerifier(all.Key)
	must(err)
	for _, text := range all.Notes {
		opened, err := note.Open([]byte(text), note.VerifierList(verifier))
		must(err)
		var size int64
		lines := strings.Split(opened.Text, "\n")
		_, err = fmt.Sscanf(lines[1], "%d", &size)
		must(err)
		if lines[0] != verifier.Name() || lines[2] != roots[size].String() {
			fail("checkpoint of %d: %s, not %s", size, lines[2], roots[size])
		}
	}
	for _, one := range all.Inclusion {
		proof := tlog.RecordProof(hashes(one.Hashes))
		must(tlog.CheckRecord(proof, one.Size, roots[one.Size], one.Number, leaves[one.Number]))
	}
	for _, one := range all.Consistency {
		proof := tlog.TreeProof(hashes(one.Hashes))
		must(tlog.CheckTree(proof, one.Second, roots[one.Second], one.First, roots[one.First]))
	}
	fmt.Print("ok")
}

// rootsOf gives the root at every size, and every leaf's hash.
func rootsOf(contents [][]byte) ([]tlog.Hash, []tlog.Hash) {
	var stored, leaves []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	empty, err := tlog.TreeHash(0, reader)
	must(err)
	roots := []tlog.Hash{empty}
	for number, content := range contents {
		fresh, err := tlog.StoredHashes(int64(number), content, reader)
		must(err)
		stored = append(stored, fresh...)
		leaves = append(leaves, tlog.RecordHash(content))
		root, err := tlog.TreeHash(int64(number)+1, reader)
		must(err)
		roots = append(roots, root)
	}
	return roots, leaves
}

func hashes(given [][]byte) []tlog.Hash {
	var found []tlog.Hash
	for _, one := range given {
		var hash tlog.Hash
		copy(hash[:], one)
		found = append(found, hash)
	}
	return found
}

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func fail(format string, values ...any) {
	fmt.Printf(format, values...)
	os.Exit(1)
}
