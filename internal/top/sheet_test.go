package top

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
)

func TestASheetIsWrittenForTheWidthThatThereIs(t *testing.T) {
	widths := []int{}
	var s tea.Model = NewSheet(t.Context(), "status", func(_ context.Context, width int) (string, error) {
		widths = append(widths, width)
		return fmt.Sprintf("%d wide\n%s", width, strings.Repeat("line\n", 50)), nil
	})
	hear := func(msg tea.Msg) (cmd tea.Cmd) {
		s, cmd = s.Update(msg)
		return cmd
	}
	hear(hear(tea.WindowSizeMsg{Width: 40, Height: 10})())
	if v := s.View(); !strings.Contains(v, "40 wide") || len(widths) != 1 {
		t.Errorf("%v\n%s", widths, v)
	}
	if hear(tea.WindowSizeMsg{Width: 90, Height: 12}) != nil {
		t.Error("it is written by two at once")
	}
	hear(hear(askAgain{})())
	if v := s.View(); !strings.Contains(v, "90 wide") || strings.Count(v, "\n") != 11 {
		t.Error(v)
	}
	hear(written{err: errors.New("no daemon answers " + strings.Repeat("x", 100)), asked: noon})
	for _, line := range strings.Split(s.View(), "\n") {
		if ansi.StringWidth(line) > 90 {
			t.Error(line)
		}
	}
	if v := s.View(); !strings.Contains(v, "AWAY since 12:00:00") || !strings.Contains(v, "90 wide") {
		t.Error(v)
	}
	for range 100 {
		hear(tea.KeyMsg{Type: tea.KeyDown})
	}
	if v := s.View(); strings.Count(v, "line") != 9 {
		t.Errorf("scrolled past its end:\n%s", v)
	}
	hear(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("p")})
	hear(written{text: "later", asked: noon})
	if v := s.View(); !strings.Contains(v, "PAUSED") || strings.Contains(v, "later") {
		t.Error(v)
	}
}
