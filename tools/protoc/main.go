// Command protoc compiles protocol buffer files in pure Go and hands them to
// protoc's plugins, so that generating code needs nothing that is not a Go
// module. It understands the part of the real protoc's command line that this
// repository uses:
//
//	protoc -I DIR... --NAME_out=DIR... --NAME_opt=OPTION... FILE...
//
// For every --NAME_out it runs protoc-gen-NAME, found beside this binary or
// in PATH, and writes the files that the plugin answers below DIR.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// compilerVersion is the version of protoc that plugins are told. Some write
// it into their output; it is the one whose language we compile.
var compilerVersion = &pluginpb.Version{
	Major: proto.Int32(3), Minor: proto.Int32(21), Patch: proto.Int32(12),
}

// plugin is one requested output: a plugin's name, the directory its files
// are written to, and its options.
type plugin struct {
	name    string
	out     string
	options []string
}

// request is a parsed command line.
type request struct {
	imports []string
	plugins map[string]*plugin
	files   []string
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "protoc:", err)
		os.Exit(1)
	}
}

// run compiles what the command line names and runs each plugin on it.
func run(ctx context.Context, args []string) error {
	req, err := parseArgs(args)
	if err != nil {
		return err
	}

	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(
			&protocompile.SourceResolver{
				ImportPaths: req.imports,
			},
		),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(ctx, req.files...)
	if err != nil {
		return err
	}

	var descriptors []*descriptorpb.FileDescriptorProto
	seen := make(map[string]bool)
	for _, file := range compiled {
		descriptors = collect(descriptors, seen, file)
	}

	names := make([]string, 0, len(req.plugins))
	for name := range req.plugins {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		err := req.plugins[name].run(ctx, req.files, descriptors)
		if err != nil {
			return fmt.Errorf("protoc-gen-%s: %w", name, err)
		}
	}

	return nil
}

// parseArgs reads the command line. Options may be written with "=" or as two
// words, as protoc allows.
func parseArgs(args []string) (*request, error) {
	req := &request{plugins: make(map[string]*plugin)}
	get := func(name string) *plugin {
		if req.plugins[name] == nil {
			req.plugins[name] = &plugin{name: name}
		}

		return req.plugins[name]
	}

	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if !strings.HasPrefix(arg, "-") {
			req.files = append(req.files, arg)
			continue
		}

		flag, value, ok := strings.Cut(arg, "=")
		switch {
		case strings.HasPrefix(arg, "-I") && len(arg) > len("-I"):
			flag, value = "-I", arg[len("-I"):]

		case !ok:
			if len(args) == 0 {
				return nil, fmt.Errorf("%s needs a value", arg)
			}
			value, args = args[0], args[1:]
		}

		name := strings.TrimPrefix(flag, "--")
		switch {
		case flag == "-I" || name == "proto_path":
			req.imports = append(req.imports, value)

		case strings.HasSuffix(name, "_out"):
			get(strings.TrimSuffix(name, "_out")).out = value

		case strings.HasSuffix(name, "_opt"):
			p := get(strings.TrimSuffix(name, "_opt"))
			p.options = append(p.options, value)

		default:
			return nil, fmt.Errorf("unknown option %s", flag)
		}
	}

	return req, req.validate()
}

// validate checks that there is something to do, and that each plugin has
// somewhere to write to.
func (r *request) validate() error {
	if len(r.files) == 0 || len(r.plugins) == 0 {
		return errors.New("usage: protoc -I DIR... --NAME_out=DIR... " +
			"[--NAME_opt=OPTION...] FILE [FILE]")
	}
	if len(r.imports) == 0 {
		r.imports = []string{"."}
	}
	for _, p := range r.plugins {
		if p.out == "" {
			return fmt.Errorf("--%s_opt without --%s_out", p.name,
				p.name)
		}
	}

	return nil
}

// collect appends a file's descriptor after those of everything it imports,
// each once: the order that plugins are promised.
func collect(list []*descriptorpb.FileDescriptorProto, seen map[string]bool,
	file protoreflect.FileDescriptor) []*descriptorpb.FileDescriptorProto {

	if seen[file.Path()] {
		return list
	}
	seen[file.Path()] = true

	imports := file.Imports()
	for i := range imports.Len() {
		list = collect(list, seen, imports.Get(i).FileDescriptor)
	}

	return append(list, protodesc.ToFileDescriptorProto(file))
}

// run hands the compiled files to the plugin and writes its answer.
func (p *plugin) run(ctx context.Context, files []string,
	descriptors []*descriptorpb.FileDescriptorProto) error {

	input, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{
		FileToGenerate:  files,
		Parameter:       proto.String(strings.Join(p.options, ",")),
		ProtoFile:       descriptors,
		CompilerVersion: compilerVersion,
	})
	if err != nil {
		return err
	}

	binary, err := findPlugin(p.name)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, binary)
	cmd.Stdin = bytes.NewReader(input)
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		return err
	}

	resp := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(output, resp); err != nil {
		return err
	}
	if resp.Error != nil {
		return errors.New(resp.GetError())
	}

	return p.write(resp.File)
}

// write stores the generated files below the plugin's output directory.
func (p *plugin) write(
	files []*pluginpb.CodeGeneratorResponse_File) error {

	for _, file := range files {
		path := filepath.Join(p.out, filepath.FromSlash(file.GetName()))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		err := os.WriteFile(path, []byte(file.GetContent()), 0o644)
		if err != nil {
			return err
		}
	}

	return nil
}

// findPlugin returns the plugin's executable: the one built beside this
// command, else whatever PATH has.
func findPlugin(name string) (string, error) {
	name = "protoc-gen-" + name
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}

	return exec.LookPath(name)
}
