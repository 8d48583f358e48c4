package intent

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// allModels returns every model and every mistake that there is in the repository.
func allModels(t testing.TB) (texts []string) {
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		b, err := os.ReadFile(path)
		if len(b) < 1<<16 {
			texts = append(texts, string(b))
		}
		return err
	})
	if err != nil || len(texts) < 40 {
		t.Fatalf("%d models, %v", len(texts), err)
	}
	return texts
}

// readBothWays reads a file with and without plainDocument, and fails unless both say the
// same.
func readBothWays(t testing.TB, text string) {
	if unreadable([]byte(text)) != "" {
		return
	}
	docs := documents(text)
	lines := strings.Split(text, "\n")
	quick := parsePart(&reader{file: "f", lines: lines}, docs)
	slow := parsePart(&reader{file: "f", lines: lines, slow: true}, docs)
	if !reflect.DeepEqual(quick, slow) {
		t.Fatalf("%s\nis\n%+v\n%v\nand to the library\n%+v\n%v", text, quick.spec, quick.problems, slow.spec, slow.problems)
	}
}

func TestPlainDocumentsAreWhatTheLibraryTakesThemFor(t *testing.T) {
	documentsRead, plainOnes := 0, 0
	for _, text := range allModels(t) {
		readBothWays(t, text)
		for _, d := range documents(text) {
			documentsRead++
			if _, ok := plainDocument(d.text); ok {
				plainOnes++
			}
		}
	}
	t.Logf("%d of %d documents are plain", plainOnes, documentsRead)
	if plainOnes < documentsRead*3/4 {
		t.Errorf("only %d of %d documents are plain", plainOnes, documentsRead)
	}
}

// TestWhatIsEditedIsReadAlikeBothWays changes a few characters of models, as slips of the
// finger would.
func TestWhatIsEditedIsReadAlikeBothWays(t *testing.T) {
	draw := rand.New(rand.NewPCG(5, 6))
	var docs []string
	for _, text := range allModels(t) {
		for _, d := range documents(text) {
			docs = append(docs, d.text)
		}
	}
	bits := []string{" ", "  ", "\n", "-", "- ", ":", ": ", ",", ", ", "{", "}", "[", "]", "{}", "[]", "\"", "'", "#", " # x", "\t", "&", "*", "!", "|", ">", "%", "@", "?", "? ", "~",
		"a", "1", "0x1f", "1e3", ".5", "-1", "null", "true", "yes", "0o7", "1_0", "<<", "---\n", "...\n", "\\", "é", "\n\n", "\n  ", "\n- ", "a: b", "key: {a: b}\n", "\nkey:\n"}
	n := 20000
	if testing.Short() {
		n = 2000
	}
	for range n {
		text := docs[draw.IntN(len(docs))]
		for range 1 + draw.IntN(3) {
			i := draw.IntN(len(text) + 1)
			cut := min(len(text), i+draw.IntN(3))
			text = text[:i] + bits[draw.IntN(len(bits))] + text[cut:]
		}
		readBothWays(t, text)
	}
}

func FuzzPlainDocument(f *testing.F) {
	for _, text := range allModels(f) {
		for _, d := range documents(text) {
			f.Add(d.text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) { readBothWays(t, text) })
}
