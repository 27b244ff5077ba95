package api

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"rollcall/internal/access"
	"rollcall/internal/problem"
	"rollcall/internal/table"
)

const (
	documentPath = Path + "openapi.json"
	// documentVersion is that of the API: it changes when names are added.
	documentVersion = "1.1.0"
)

// describe adds to an operation what all have.
func describe(doc *huma.OpenAPI, op *huma.Operation, scopes []access.Scope) {
	op.Security = []map[string][]string{{"token": words(scopes)}}
	op.MaxBodyBytes = maxBody
	op.BodyReadTimeout = -1 // the guard bounds how long a client may take
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	op.Responses["default"] = &huma.Response{
		Description: "Why the request was not carried out",
		Content:     map[string]*huma.MediaType{problem.Media: {Schema: schemaOf[problem.Problem](doc)}},
	}
}

// schemaOf returns a reference to the schema of a type.
func schemaOf[T any](doc *huma.OpenAPI) *huma.Schema {
	t := reflect.TypeFor[T]()
	return doc.Components.Schemas.Schema(t, true, t.Name())
}

// describeBody documents a body that the operation reads itself.
func describeBody(op *huma.Operation, required bool, types map[string]*huma.Schema) {
	op.RequestBody = &huma.RequestBody{Required: required, Content: map[string]*huma.MediaType{}}
	for name, schema := range types {
		op.RequestBody.Content[name] = &huma.MediaType{Schema: schema}
	}
}

// describeRows documents a body of rows.
func describeRows(op *huma.Operation, required bool) {
	file := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	describeBody(op, required, map[string]*huma.Schema{
		table.NDJSON.Media(): nil, // OpenAPI 3.1 has no words for an object a line
		table.CSV.Media():    {Type: huma.TypeString, Description: "The first line names the columns"}, table.XLSX.Media(): file,
	})
}

// addResponse documents another response, which has the headers of the usual one.
func addResponse(op *huma.Operation, status int, description string, schema *huma.Schema) {
	op.Responses[strconv.Itoa(status)] = &huma.Response{
		Description: description, Headers: op.Responses[strconv.Itoa(op.DefaultStatus)].Headers,
		Content: map[string]*huma.MediaType{typeJSON: {Schema: schema}},
	}
}

// finish completes the document and returns it as JSON.
func finish(doc *huma.OpenAPI) []byte {
	doc.Info.Description = "Bulk jobs from any language: tasks, runs, plans, results. docs/api.md is the guide."
	doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "A token of the worker's configuration. An operation needs one of the scopes that its security names."},
	}
	schemas := doc.Components.Schemas.Map()
	delete(schemas, "ErrorModel") // explainError replaces it
	delete(schemas, "ErrorDetail")
	text, err := doc.MarshalJSON()
	value := jsontext.Value(text)
	if err = errors.Join(err, value.Indent(jsontext.WithIndent("  "))); err != nil {
		panic(fmt.Sprintf("api: the document cannot be written: %v", err))
	}
	return append(value, '\n')
}

func (a *API) serveDocument(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(a.document)
}
