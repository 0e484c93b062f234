; The installer for Windows: for one user, without an administrator, in English and Korean. Made by windows.py, which
; defines VERSION, VERSION_QUAD, NAME, PUBLISHER, FILES (the list of files, as macros), ICON, OUTPUT, WINDOW_EXE,
; RUN_KIND, RUN_SUFFIX, RUN_MIME.
;
;   setup.exe /S [/D=FOLDER]         installs without a question
;   uninstall.exe /S                 takes everything away again that it brought; runs and settings stay
;
; Exit codes: 0 done, 1 cancelled, 2 could not be written, 3 the program is running.

!ifdef TARGET ; a build of NSIS that has it makes a 64-bit installer
  Target ${TARGET}
!else
  Unicode true
!endif
SetCompressor /FINAL /SOLID lzma
SetCompressorDictSize 64
RequestExecutionLevel user
ManifestDPIAware true
ManifestSupportedOS all

!define KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\TFXWorkbench"
!define PATHS "Software\Microsoft\Windows\CurrentVersion\App Paths\tfx-workbench.exe"
!define CLASSES "Software\Classes"
!define PROGID "TFXWorkbench.Run"

Name "${NAME}"
OutFile "${OUTPUT}"
InstallDir "$LOCALAPPDATA\Programs\${NAME}"
InstallDirRegKey HKCU "${KEY}" "InstallLocation" ; an upgrade goes where the program is
BrandingText "${NAME} ${VERSION}"

!include LogicLib.nsh
!include x64.nsh
!include WinVer.nsh
!include FileFunc.nsh
!include MUI2.nsh
!include "${FILES}"

!define MUI_ICON "${ICON}"
!define MUI_UNICON "${ICON}"
!define MUI_ABORTWARNING
!define MUI_FINISHPAGE_NOAUTOCLOSE
!define MUI_FINISHPAGE_RUN "$INSTDIR\${WINDOW_EXE}"
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English" ; the first is taken where Windows speaks neither
!insertmacro MUI_LANGUAGE "Korean"

VIProductVersion "${VERSION_QUAD}"
!macro VERSION_INFO LANGUAGE
  VIAddVersionKey /LANG=${LANGUAGE} "ProductName" "${NAME}"
  VIAddVersionKey /LANG=${LANGUAGE} "ProductVersion" "${VERSION}"
  VIAddVersionKey /LANG=${LANGUAGE} "FileVersion" "${VERSION_QUAD}"
  VIAddVersionKey /LANG=${LANGUAGE} "CompanyName" "${PUBLISHER}"
  VIAddVersionKey /LANG=${LANGUAGE} "LegalCopyright" "${PUBLISHER}, Apache-2.0"
  VIAddVersionKey /LANG=${LANGUAGE} "OriginalFilename" "${OUTPUT_NAME}"
!macroend
!insertmacro VERSION_INFO ${LANG_ENGLISH}
!insertmacro VERSION_INFO ${LANG_KOREAN}
VIAddVersionKey /LANG=${LANG_ENGLISH} "FileDescription" "${NAME} set-up"
VIAddVersionKey /LANG=${LANG_KOREAN} "FileDescription" "${NAME} 설치"

LangString IS_RUNNING ${LANG_ENGLISH} \
  "$1 is running. Close ${NAME}, let its runs end or stop them, and try again. (Nothing was changed.)"
LangString IS_RUNNING ${LANG_KOREAN} \
  "$1이(가) 실행 중입니다. ${NAME}을(를) 닫고 진행 중인 학습이 끝나거나 멈춘 뒤 다시 시도하십시오. (아무것도 바뀌지 않았습니다.)"
LangString NEEDS_64_BIT ${LANG_ENGLISH} "${NAME} needs 64-bit Windows 10 or newer."
LangString NEEDS_64_BIT ${LANG_KOREAN} "${NAME}에는 64비트 Windows 10 이상이 필요합니다."
LangString OLD_STAYS ${LANG_ENGLISH} "The version that is installed could not be taken away, so nothing was changed."
LangString OLD_STAYS ${LANG_KOREAN} "설치되어 있던 버전을 제거할 수 없어 아무것도 바꾸지 않았습니다."
LangString RUNS_STAY ${LANG_ENGLISH} "Your runs and settings stay where they are."
LangString RUNS_STAY ${LANG_KOREAN} "실행 기록과 설정은 그대로 남습니다."
LangString NOT_WRITTEN ${LANG_ENGLISH} "Not every file could be written. Make room, or choose another folder."
LangString NOT_WRITTEN ${LANG_KOREAN} "모든 파일을 쓰지 못했습니다. 공간을 확보하거나 다른 폴더를 고르십시오."

; What runs cannot be opened for writing, on any Windows and without a plugin: puts its name into $1.
!macro LOOK_AT EXE
  ${If} ${FileExists} "$INSTDIR\${EXE}"
    ClearErrors
    FileOpen $0 "$INSTDIR\${EXE}" a
    ${If} ${Errors}
      StrCpy $1 "${EXE}"
    ${Else}
      FileClose $0
    ${EndIf}
  ${EndIf}
!macroend

!macro REFUSE_WHILE_RUNNING UN
Function ${UN}RefuseWhileRunning
  ${Do}
    StrCpy $1 ""
    !insertmacro LOOK_AT "tfx-engine.exe" ; a run goes on after its window was closed
    !insertmacro LOOK_AT "tfx-workbench.exe"
    !insertmacro LOOK_AT "${WINDOW_EXE}"
    ${If} $1 == ""
      Return
    ${EndIf}
    MessageBox MB_RETRYCANCEL|MB_ICONEXCLAMATION "$(IS_RUNNING)" /SD IDCANCEL IDRETRY +3
    SetErrorLevel 3
    Abort "$(IS_RUNNING)"
  ${Loop}
FunctionEnd
!macroend
!insertmacro REFUSE_WHILE_RUNNING ""
!insertmacro REFUSE_WHILE_RUNNING "un."

Function .onInit
  ${IfNot} ${RunningX64}
  ${OrIfNot} ${AtLeastWin10}
    MessageBox MB_OK|MB_ICONSTOP "$(NEEDS_64_BIT)" /SD IDOK
    SetErrorLevel 2
    Quit
  ${EndIf}
FunctionEnd

; The version that is there goes first, by its own uninstaller, so that none of its files stays behind.
Function RemoveOldVersion
  ReadRegStr $2 HKCU "${KEY}" "InstallLocation"
  ${If} $2 == ""
  ${OrIfNot} ${FileExists} "$2\uninstall.exe"
    Return
  ${EndIf}
  ExecWait '"$2\uninstall.exe" /S _?=$2' $3
  ${If} $3 == 0
    Delete "$2\uninstall.exe" ; which cannot delete itself where it is waited for
    RMDir "$2"
    Return
  ${EndIf}
  SetErrorLevel $3
  MessageBox MB_OK|MB_ICONSTOP "$(OLD_STAYS)" /SD IDOK
  Abort "$(OLD_STAYS)"
FunctionEnd

Section
  SetShellVarContext current
  Call RefuseWhileRunning
  Call RemoveOldVersion
  ClearErrors
  !insertmacro INSTALL_FILES
  WriteUninstaller "$INSTDIR\uninstall.exe"
  ${If} ${Errors}
    SetErrorLevel 2
    MessageBox MB_OK|MB_ICONSTOP "$(NOT_WRITTEN)" /SD IDOK
    Abort "$(NOT_WRITTEN)"
  ${EndIf}
  SetOutPath "$INSTDIR"

  CreateShortcut "$SMPROGRAMS\${NAME}.lnk" "$INSTDIR\${WINDOW_EXE}"

  WriteRegStr HKCU "${CLASSES}\${PROGID}" "" "${RUN_KIND}"
  WriteRegStr HKCU "${CLASSES}\${PROGID}\DefaultIcon" "" "$INSTDIR\${WINDOW_EXE},0"
  WriteRegStr HKCU "${CLASSES}\${PROGID}\shell\open\command" "" '"$INSTDIR\${WINDOW_EXE}" "%1"'
  WriteRegStr HKCU "${CLASSES}\${RUN_SUFFIX}" "" "${PROGID}"
  WriteRegStr HKCU "${CLASSES}\${RUN_SUFFIX}" "Content Type" "${RUN_MIME}"
  WriteRegStr HKCU "${CLASSES}\${RUN_SUFFIX}\OpenWithProgids" "${PROGID}" ""
  WriteRegStr HKCU "${PATHS}" "" "$INSTDIR\tfx-workbench.exe"
  ${RefreshShellIcons}

  WriteRegStr HKCU "${KEY}" "DisplayName" "${NAME}"
  WriteRegStr HKCU "${KEY}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKCU "${KEY}" "Publisher" "${PUBLISHER}"
  WriteRegStr HKCU "${KEY}" "DisplayIcon" "$INSTDIR\${WINDOW_EXE},0"
  WriteRegStr HKCU "${KEY}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKCU "${KEY}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${KEY}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKCU "${KEY}" "NoModify" 1
  WriteRegDWORD HKCU "${KEY}" "NoRepair" 1
  WriteRegDWORD HKCU "${KEY}" "EstimatedSize" ${KILOBYTES}
SectionEnd

Section "Uninstall"
  SetShellVarContext current
  Call un.RefuseWhileRunning
  DetailPrint "$(RUNS_STAY)"
  !insertmacro REMOVE_FILES ; each that was installed by its name, and folders only when they are empty
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"

  Delete "$SMPROGRAMS\${NAME}.lnk"
  DeleteRegKey HKCU "${CLASSES}\${PROGID}"
  DeleteRegValue HKCU "${CLASSES}\${RUN_SUFFIX}\OpenWithProgids" "${PROGID}"
  DeleteRegKey /ifempty HKCU "${CLASSES}\${RUN_SUFFIX}\OpenWithProgids"
  ReadRegStr $0 HKCU "${CLASSES}\${RUN_SUFFIX}" ""
  ${If} $0 == "${PROGID}" ; nobody else has taken it over
    DeleteRegValue HKCU "${CLASSES}\${RUN_SUFFIX}" ""
    DeleteRegValue HKCU "${CLASSES}\${RUN_SUFFIX}" "Content Type"
  ${EndIf}
  ${un.RefreshShellIcons}
  DeleteRegKey /ifempty HKCU "${CLASSES}\${RUN_SUFFIX}"
  DeleteRegKey HKCU "${PATHS}"
  DeleteRegKey HKCU "${KEY}"
SectionEnd
