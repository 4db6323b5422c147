// SPDX-License-Identifier: MIT

package fuzzer

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
)

const (
	coverageCall   = "__sanitizer_cov_trace_pc"
	relocationLen  = 24 // Elf64_Rela
	symbolTypeText = "tT"
)

// A Function is a function of a module and how many blocks of it there are and were run.
type Function struct {
	Name         string
	Blocks, Seen int
}

// Functions tells how much of each function of a loaded module, in a file with coverage, the blocks are.
func Functions(file, module string, seen map[uint64]struct{}) ([]Function, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	loaded, err := loadedAt(module)
	if err != nil {
		return nil, err
	}
	var list []Function
	for _, section := range f.Sections {
		if section.Type != elf.SHT_RELA || int(section.Info) >= len(f.Sections) {
			continue
		}
		blocks, err := blocksIn(f.Sections[section.Info], section, symbols)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, s := range symbols {
			at, ok := loaded[s.Name]
			if !ok || elf.ST_TYPE(s.Info) != elf.STT_FUNC || uint32(s.Section) != section.Info {
				continue
			}
			fn := Function{Name: s.Name}
			for _, b := range blocks {
				if b <= s.Value || b > s.Value+s.Size {
					continue
				}
				fn.Blocks++
				if _, ok := seen[at+b-s.Value]; ok {
					fn.Seen++
				}
			}
			if fn.Blocks > 0 {
				list = append(list, fn)
			}
		}
	}
	slices.SortFunc(list, func(a, b Function) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// blocksIn returns the addresses of the blocks of a section, each being where a call that notes the coverage returns. In
// user-mode Linux a module loads the address of what it calls into a register, by an instruction to which a relocation belongs,
// and then calls by the register, maybe often.
func blocksIn(section, relocations *elf.Section, symbols []elf.Symbol) ([]uint64, error) {
	code, err := section.Data()
	if err != nil {
		return nil, err
	}
	raw, err := relocations.Data()
	if err != nil {
		return nil, err
	}
	loads := map[uint64]bool{} // by the address of the operand, whether it is that of the coverage
	for ; len(raw) >= relocationLen; raw = raw[relocationLen:] {
		info := binary.LittleEndian.Uint64(raw[8:])
		// Package elf leaves out symbol 0.
		i := int(info>>32) - 1
		loads[binary.LittleEndian.Uint64(raw)] = i >= 0 && i < len(symbols) && symbols[i].Name == coverageCall
	}
	var blocks []uint64
	var notes [16]bool // by register, whether a call by it notes the coverage
	for at := uint64(2); at+1 < uint64(len(code)); at++ {
		const rexW, rexB, movImm64, group5, callReg = 0x48, 0x41, 0xb8, 0xff, 0xd0
		if isCoverage, ok := loads[at]; ok && code[at-2]&^1 == rexW && code[at-1]&^7 == movImm64 {
			notes[code[at-2]&1<<3|code[at-1]&7] = isCoverage
			at += 7
			continue
		}
		if code[at] != group5 || code[at+1]&^7 != callReg {
			continue
		}
		register := code[at+1] & 7
		if code[at-1] == rexB {
			register |= 8
		}
		if notes[register] {
			blocks = append(blocks, at+2)
		}
	}
	return blocks, nil
}

// loadedAt returns the addresses of a module's functions. Of several of one name it has none.
func loadedAt(module string) (map[string]uint64, error) {
	raw, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		return nil, err
	}
	at, twice := map[string]uint64{}, map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		var address uint64
		var kind, name, where string
		if n, _ := fmt.Sscanf(line, "%x %s %s %s", &address, &kind, &name, &where); n < 4 ||
			where != "["+module+"]" || !strings.Contains(symbolTypeText, kind) {
			continue
		}
		if _, ok := at[name]; ok {
			twice[name] = true
		}
		at[name] = address
	}
	for name := range twice {
		delete(at, name)
	}
	return at, nil
}
