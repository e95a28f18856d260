package socketeer_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	fenced   = regexp.MustCompile("(?ms)^```.*?^```$")
	linked   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headings = regexp.MustCompile(`(?m)^#+ (.+)$`)
	unslug   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestDocs follows the links of the README and of all pages that they lead to:
// files and headings are there, and no page of docs is left out.
func TestDocs(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal("no pages: ", err)
	}
	seen := map[string]bool{"README.md": true}
	for todo := []string{"README.md"}; len(todo) > 0; todo = todo[1:] {
		for _, to := range links(t, todo[0]) {
			if filepath.Ext(to) == ".md" && !seen[to] {
				seen[to] = true
				todo = append(todo, to)
			}
		}
	}
	for _, page := range pages {
		if !seen[page] {
			t.Errorf("no page that the README leads to has a link to %s", page)
		}
	}
}

// links returns the files that a page links to.
func links(t *testing.T, page string) (files []string) {
	t.Helper()
	for _, m := range linked.FindAllStringSubmatch(text(t, page), -1) {
		if strings.Contains(m[1], "://") {
			continue
		}
		file, heading, _ := strings.Cut(m[1], "#")
		if file = filepath.Join(filepath.Dir(page), file); strings.HasPrefix(m[1], "#") {
			file = page
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s has a link to %s: %v", page, m[1], err)
			continue
		}
		if heading != "" && !slugs(t, file)[heading] {
			t.Errorf("%s has a link to %s: there is no such heading", page, m[1])
		}
		files = append(files, file)
	}
	return files
}

// slugs returns what the headings of a page are linked by.
func slugs(t *testing.T, page string) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	for _, m := range headings.FindAllStringSubmatch(text(t, page), -1) {
		all[strings.ReplaceAll(unslug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return all
}

// text returns a page without its code.
func text(t *testing.T, page string) string {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return fenced.ReplaceAllString(string(b), "")
}
