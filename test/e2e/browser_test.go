package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestChat runs the chat page in a browser, on a cluster of the real binary.
func TestChat(t *testing.T) {
	needPackages(t)
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("chromium is not installed")
		}
		t.Skip("chromium is not installed")
	}
	binary := filepath.Join(binDir, "socketeer")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/socketeer")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the binary does not build: %v\n%s", err, out)
	}
	cmd = exec.CommandContext(t.Context(), "node", "--test", "browser/chat.test.js")
	cmd.Env = append(os.Environ(), "SOCKETEER="+binary, "CHROMIUM="+chromium)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
